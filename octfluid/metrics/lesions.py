"""Pockets of fluid: how many there are, how many are found, and how many of the predicted ones are right."""

import numpy as np
from scipy import ndimage

POCKET_COUNTS = ('true', 'found', 'predicted', 'right')


def pocket_counts(prediction: np.ndarray, truth: np.ndarray) -> dict[str, int]:
    """Count the pockets of two masks, (H, W) of 0 and 1: sets of pixels that touch by edges or corners (8-connected).

    A true pocket is found when at least half of its pixels are predicted. A predicted pocket is right when at least half of
    its pixels are true. Half, because one shared pixel is no find; both ways, because one huge blob finds every pocket and one
    pixel inside a pocket is right. There is no pairing: two predicted halves of one pocket are both right and find it together.

    Returns:
        `POCKET_COUNTS`: ``true`` and ``predicted`` pockets, and how many of them are ``found`` and ``right``. Sensitivity is
        found / true and precision right / predicted, pooled over images.
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    return dict(zip(POCKET_COUNTS, (*_covered(truth, prediction), *_covered(prediction, truth)), strict=True))


def _covered(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how many pockets a mask has, and how many of them have at least half of their pixels in another."""
    labels, pockets = ndimage.label(mask, np.ones((3, 3)))
    pixels, shared = (np.bincount(labels[where], minlength=pockets + 1)[1:] for where in (mask, mask & other))
    return int(pockets), int(np.count_nonzero(2 * shared >= pixels))
