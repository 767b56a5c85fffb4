"""A tiny data set: its names and size, and what the check finds in it."""

import numpy as np
from PIL import Image

from octfluid.datasets.integrity import check_dataset

NAMES = ['s01_z10', 's01_z15', 's02_z10', 's03_z10']
SIZE = (4, 6)


def save(path, pixels, mode=None):
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path)


def problems(root, split='half', **options):
    return check_dataset(root, 'small', split, **{'size': SIZE, **options}).problems
