"""Readers of scans and writers of results. Nothing here imports torch."""
