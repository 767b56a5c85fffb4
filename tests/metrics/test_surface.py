import warnings

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from octfluid.metrics import surface
from octfluid.metrics.surface import boundary_distances

TOLERANCES = (0, 1, 1.5, 2)


def surface_dice(prediction, truth, tolerance):
    return surface.surface_dice(boundary_distances(prediction, truth), tolerance)


def hd95(prediction, truth):
    return surface.hd95(boundary_distances(prediction, truth))


def random_pair(seed):
    """Smooth blobs, as pockets are; every other prediction is the ground truth with its boundary a little off."""
    rng = np.random.default_rng(seed)
    fields = ndimage.gaussian_filter(rng.standard_normal((2, *rng.integers(3, 40, 2))), (0, 2, 2))
    prediction, truth = (field > np.quantile(field, rng.uniform(0.3, 0.98)) for field in fields)
    return np.roll(truth, tuple(rng.integers(-2, 3, 2)), (0, 1)) if seed % 2 else prediction, truth


def in_monai(prediction, truth):
    """Surface Dice at each of `TOLERANCES`, and HD95."""
    masks = [torch.from_numpy(np.asarray(mask, bool))[None, None] for mask in (prediction, truth)]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about empty masks
        shares = [compute_surface_dice(*masks, [tolerance], include_background=True).item() for tolerance in TOLERANCES]
        return shares, compute_hausdorff_distance(*masks, include_background=True, percentile=95).item()


def marked(*places, shape=(9, 13)):
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


FRAME = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])
PAIRS = [
    (marked(np.s_[:]), marked(np.s_[4, 6])),
    (marked(np.s_[0, 0]), marked(np.s_[-1, -1])),
    (marked(*FRAME), marked(np.s_[1:-1, 1:-1])),
    (marked(np.s_[0, 2:5], shape=(1, 9)), marked(np.s_[0, 3:8], shape=(1, 9))),
    (marked(np.s_[:], shape=(1, 1)), marked(np.s_[:], shape=(1, 1))),
    *(pair for pair in map(random_pair, range(30)) if all(mask.any() for mask in pair)),
]


def test_scores_are_those_of_monai():
    assert len(PAIRS) > 30
    for prediction, truth in PAIRS:
        shares, distance = in_monai(prediction, truth)
        assert [surface_dice(prediction, truth, tolerance) for tolerance in TOLERANCES] == pytest.approx(shares, abs=1e-6)
        assert hd95(prediction, truth) == pytest.approx(distance, abs=1e-4)  # single precision there


def test_hd95_by_hand():
    # Distances of 0, 1, ..., 20 from a row of 21 pixels to one pixel: rank 0.95 * 20 = 19. The other way there is only a 0.
    row, pixel = marked(np.s_[0, :21], shape=(1, 30)), marked(np.s_[0, 0], shape=(1, 30))
    assert hd95(row, pixel) == hd95(pixel, row) == pytest.approx(19)
    # 22 pixels: rank 0.95 * 21 = 19.95, between 19 and 20. The distances of both directions in one heap would give 19.9.
    assert hd95(marked(np.s_[0, :22], shape=(1, 30)), pixel) == pytest.approx(19.95)
