import io

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.perceptual_hash import looks_of, same_pictures
from octfluid.datasets.phantoms import make_phantom

SCANS = {name: make_phantom(seed, 96, 128, fluid=True)[0] for seed, name in enumerate('abc')}


def compressed(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG', quality=60)
    return np.asarray(Image.open(buffer))


def find(copy, original='b'):
    looks = {name: looks_of(pixels) for name, pixels in SCANS.items()} | {'copy': looks_of(copy)}
    return same_pictures(['a', 'b', 'c'], ['copy'], looks)


def test_the_same_pixels_are_the_same_picture():
    assert find(SCANS['b'].copy()) == [('copy', 'b', True)]


@pytest.mark.parametrize('change', [
    compressed,
    lambda pixels: np.clip(pixels * 1.15 + 8, 0, 255).astype(np.uint8),
    lambda pixels: np.asarray(Image.fromarray(pixels).resize((256, 256))),
    lambda pixels: np.repeat(pixels[:, :, None], 3, axis=2),
])  # fmt: skip
def test_a_copy_in_another_form_is_alike(change):
    assert find(change(SCANS['b'])) == [('copy', 'b', False)]


@pytest.mark.parametrize('other', [
    make_phantom(9, 96, 128, fluid=True)[0],
    SCANS['b'][:, ::-1],
    np.zeros((96, 128), np.uint8),
    np.stack([SCANS['b'], SCANS['b'], 255 - SCANS['b']], axis=2),
])  # fmt: skip
def test_other_scans_blank_ones_and_colours_are_not(other):
    assert find(other) == []


def test_blank_scans_are_the_same_only_pixel_by_pixel():
    blank = looks_of(np.zeros((8, 8), np.uint8))
    assert same_pictures(['a'], ['b'], {'a': blank, 'b': looks_of(np.zeros((8, 9), np.uint8))}) == []
    assert same_pictures(['a'], ['b'], {'a': blank, 'b': blank}) == [('b', 'a', True)]


def test_names_on_both_sides_and_unreadable_ones_are_left_to_others():
    look = looks_of(SCANS['a'])
    assert same_pictures(['a', 'x'], ['a', 'y'], {'a': look}) == []
