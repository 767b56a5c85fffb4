"""Configs, training, checkpoints, run records, sweeps. Importing this folder loads no torch; `octfluid.register` does."""
