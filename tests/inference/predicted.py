"""Scans to predict, and what is looked for in results."""

import csv

import numpy as np

from octfluid.datasets.phantoms import make_phantom

FRAMES = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(4)])


def table(out):
    with open(out / 'measurements.csv', newline='') as file:
        return list(csv.DictReader(file))


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())
