"""The web page: one scan or volume at a time, outlined, looked at and taken home."""
