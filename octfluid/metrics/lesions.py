"""Pockets of fluid: how many there are, how many are found, and how many of the predicted ones are right."""

import numpy as np
from scipy import ndimage

POCKET_COUNTS = ('true', 'found', 'predicted', 'right')
_EIGHT_NEIGHBOURS = np.ones((3, 3), int)


def pocket_counts(prediction: np.ndarray, truth: np.ndarray) -> dict[str, int]:
    """Count the pockets of two masks: sets of pixels that touch by edges or corners (8-connected).

    A true pocket is found when at least half of its pixels are predicted. A predicted pocket is right when at least half of
    its pixels are true. Half, because one shared pixel is no find; both ways, because one huge blob finds every pocket and one
    pixel inside a pocket is right. There is no pairing: two predicted halves of one pocket are both right and find it together.

    Args:
        prediction: (H, W) array of 0 and 1, or bool.
        truth: The same.

    Returns:
        ``true`` and ``predicted``: pockets of each mask; ``found`` and ``right``: how many of them the other mask covers by
        half or more. Sensitivity is found / true and precision right / predicted, pooled over images.
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    return dict(zip(POCKET_COUNTS, (*_covered(truth, prediction), *_covered(prediction, truth)), strict=True))


def _covered(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how many pockets a mask has, and how many of them have at least half of their pixels in another."""
    labels, pockets = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    pixels = np.bincount(labels[mask], minlength=pockets + 1)[1:]
    shared = np.bincount(labels[mask & other], minlength=pockets + 1)[1:]
    return int(pockets), int(np.count_nonzero(2 * shared >= pixels))
