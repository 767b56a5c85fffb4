"""Overlays, galleries and en-face maps."""
