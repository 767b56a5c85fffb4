"""Tiny data: names and size of a prepared data set, what the check finds in it, and a volume as Duke published them."""

import numpy as np
import scipy.io
from PIL import Image

from octfluid.datasets.integrity import DatasetSpec, check_dataset

NAMES = ['s01_z10', 's01_z15', 's02_z10', 's03_z10']
SIZE = (4, 6)
VOLUME = (20, 30, 4)


def save(path, pixels, mode=None):
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(path)


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def check(root, split='half', **options):
    return check_dataset(DatasetSpec(str(root), 'small', split, **{'size': SIZE, **options}))


def problems(root, split='half', **options):
    return check(root, split, **options).problems


def write_subject(folder, number, graded=(1, 3), pockets=(1,), **extra):
    """A small volume; slices in ``graded`` are annotated, those in ``pockets`` hold a pocket of 8x8 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(number).integers(0, 256, VOLUME, dtype=np.uint8)
    fluid = np.full(VOLUME, np.nan)
    fluid[:, :, list(graded)] = 0
    for z in pockets:
        fluid[4:12, 10:18, z] = 2
    variables = {'images': images, 'manualFluid1': fluid, **extra}
    scipy.io.savemat(folder / f'Subject_{number:02d}.mat', variables, do_compression=True)
    return images, fluid
