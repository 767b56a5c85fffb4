"""Scores that do not depend on the threshold of 0.5, from histograms of the network's output.

The output of a pixel is the logit difference, foreground logit minus background logit; its sigmoid is the probability of fluid.
A run record holds for each image how many pixels fall into each of 32 bins, apart for pixels graded fluid and background.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit

BINS = 32
LIMIT = 8.0
"""The bins are equal and cover [-LIMIT, LIMIT); values outside go into the first or the last bin."""

EDGES = np.linspace(-LIMIT, LIMIT, BINS + 1)
THRESHOLD_FREE = ('average_precision', 'best_dice', 'calibration_error')


def logit_histogram(difference: np.ndarray, truth: np.ndarray, ignore_index: int = 255) -> dict[str, list[int]]:
    """Count the pixels of one image by logit difference, (H, W) float without NaN, apart by their ``truth``.

    Returns `BINS` counts of ``fluid``, which is any class but background, and of ``background``; ``truth`` holds (H, W) class
    indices, and pixels where it is ``ignore_index`` are not counted.
    """
    difference, truth = np.clip(difference, -LIMIT, LIMIT), np.asarray(truth)
    graded = {'fluid': (truth != 0) & (truth != ignore_index), 'background': truth == 0}
    return {kind: np.histogram(difference[mask], EDGES)[0].tolist() for kind, mask in graded.items()}


def threshold_free(histograms: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Score pooled histograms of `logit_histogram`.

    Average precision is the sum over thresholds, from the highest down, of (R_n - R_(n-1)) P_n, with recall R and precision P
    of the pixels at or above the threshold (Salton and McGill 1983; as scikit-learn's ``average_precision_score``). The
    thresholds are the lower edges of the bins.

    The best Dice is the largest 2 TP / (2 TP + FP + FN) over these thresholds. The expected calibration error (Naeini et al.,
    AAAI 2015) is the mean over all pixels of abs(share of fluid in the pixel's bin - sigmoid of the bin's centre).

    Returns:
        ``average_precision``, ``best_dice`` and ``calibration_error``, fractions in [0, 1]; None without fluid.
    """
    fluid = total = np.zeros(BINS, np.int64)
    for histogram in histograms:
        fluid, total = fluid + histogram['fluid'], total + histogram['fluid'] + histogram['background']
    if not fluid.any():
        return dict.fromkeys(THRESHOLD_FREE)
    tp, marked = (np.cumsum(counts[::-1])[::-1] for counts in (fluid, total))  # at or above each bin's lower edge
    average = (fluid * tp / np.maximum(marked, 1)).sum() / fluid.sum()
    best = (2 * tp / (marked + fluid.sum())).max()
    error = np.abs(fluid - total * expit((EDGES[:-1] + EDGES[1:]) / 2)).sum() / total.sum()
    return dict(zip(THRESHOLD_FREE, map(float, (average, best, error)), strict=True))
