"""Run records: schema, fingerprints, reading, writing, provenance of weights."""
