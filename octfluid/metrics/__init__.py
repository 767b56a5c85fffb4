"""Confusion counts, surface distances, lesions, agreement and intervals."""
