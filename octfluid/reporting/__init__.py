"""Metrics, overlays, reports. Importing this folder loads no torch; `octfluid.register` does."""
