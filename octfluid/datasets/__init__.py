"""Data sets, splits, integrity checks, phantoms. Importing this folder loads no torch; `octfluid.register` does."""
