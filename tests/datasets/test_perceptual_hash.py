import io

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.perceptual_hash import hash_picture, same_pictures
from octfluid.datasets.phantoms import make_phantom

SCANS = {name: make_phantom(seed, 96, 128, fluid=True)[0] for seed, name in enumerate('abc')}
BLANK = np.zeros((96, 128), np.uint8)


def compressed(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'JPEG', quality=60)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(('copy', 'found'), [
    (SCANS['b'].copy(), [('copy', 'b', True)]),
    (compressed(SCANS['b']), [('copy', 'b', False)]),
    (np.clip(SCANS['b'] * 1.15 + 8, 0, 255).astype(np.uint8), [('copy', 'b', False)]),
    (np.asarray(Image.fromarray(SCANS['b']).resize((256, 256))), [('copy', 'b', False)]),
    (make_phantom(9, 96, 128, fluid=True)[0], []),
    (np.stack([SCANS['b'], SCANS['b'], 255 - SCANS['b']], axis=2), []),
    (BLANK, [('copy', 'blank', True)]),
    (BLANK[:, 1:], []),  # blank scans are the same only pixel by pixel
])  # fmt: skip
def test_which_pictures_are_the_same(copy, found):
    hashes = {name: hash_picture(pixels) for name, pixels in {**SCANS, 'blank': BLANK, 'copy': copy}.items()}
    assert same_pictures([*SCANS, 'blank'], ['copy'], hashes) == found


def test_names_on_both_sides_and_unreadable_ones_are_passed_over():
    assert same_pictures(['a', 'x'], ['a', 'y'], {'a': hash_picture(SCANS['a'])}) == []
