"""The data files of this folder: scores that others have published, and what the pages say of configs."""

import csv
from pathlib import Path


def read_published(name: str) -> list[dict[str, str]]:
    """Return the lines of a data file of this folder as mappings of column to text; lines with # are comments."""
    with open(Path(__file__).with_name(name), encoding='utf-8', newline='') as file:
        return list(csv.DictReader(line for line in file if not line.startswith('#')))


def fraction(percentage: str) -> float | None:
    """Return a percentage as a fraction, None for an empty cell."""
    return round(float(percentage) / 100, 8) if percentage else None
