"""Pockets of fluid: how many there are, how many were found, and how many of the predicted ones are right."""

import numpy as np
from scipy import ndimage

POCKET_COUNTS = ('true', 'found', 'predicted', 'right')
_EIGHT_NEIGHBOURS = np.ones((3, 3), int)


def pocket_counts(prediction: np.ndarray, truth: np.ndarray) -> dict[str, int]:
    """Count the pockets of two masks, each a set of pixels that hang together by edges or corners (8-connected).

    A true pocket is found when at least half of its pixels are predicted, and a predicted pocket is right when at least half
    of its pixels are true: the same rule both ways. Half of a pocket, because a single shared pixel is no find. Both ways,
    because either alone can be had for nothing: one huge blob finds every pocket and is itself wrong, and one pixel inside a
    pocket is right and finds nothing. There is no pairing, so that two predicted halves of one pocket are right each, and find
    it together; sensitivity and precision are pooled over images, found / true and right / predicted.

    Args:
        prediction: (H, W) array of 0 and 1, or bool.
        truth: The same.

    Returns:
        ``true`` and ``predicted``: pockets of each mask, 0 where it is empty; ``found`` and ``right``: how many of them are
        covered by the other mask as above.
    """
    prediction, truth = np.asarray(prediction, bool), np.asarray(truth, bool)
    true, found = _covered(truth, prediction)
    predicted, right = _covered(prediction, truth)
    return dict(zip(POCKET_COUNTS, (true, found, predicted, right), strict=True))


def _covered(mask: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how many pockets a mask has, and how many of them have at least half of their pixels in another."""
    labels, pockets = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    pixels = np.bincount(labels[mask], minlength=pockets + 1)[1:]
    shared = np.bincount(labels[mask & other], minlength=pockets + 1)[1:]
    return int(pockets), int(np.count_nonzero(2 * shared >= pixels))
