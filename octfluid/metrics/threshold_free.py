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

    The best Dice is the largest 2 TP / (2 TP + FP + FN) over these thresholds; of equal ones the nearest to 0 counts.

    The expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017) is the mean over all pixels of
    abs(share of fluid in the pixel's bin - p), where p is the sigmoid of the bin's centre; bins of equal width in the logit
    difference take the place of bins of equal width in the probability.

    Returns:
        ``average_precision``, ``best_dice``, ``calibration_error``: fractions in [0, 1]; ``best_threshold``: a logit
        difference, from -8 (every pixel is fluid) in steps of 0.5 to 7.5. The error is None without pixels, the others
        without fluid.
    """
    fluid = total = np.zeros(BINS, np.int64)
    for histogram in histograms:
        fluid, total = fluid + histogram['fluid'], total + histogram['fluid'] + histogram['background']
    found: dict[str, float | None] = dict.fromkeys(('average_precision', 'best_dice', 'best_threshold', 'calibration_error'))
    if total.any():
        centres = (EDGES[:-1] + EDGES[1:]) / 2
        found['calibration_error'] = float(np.abs(fluid - total * expit(centres)).sum() / total.sum())
    if fluid.any():
        tp, marked = (np.cumsum(counts[::-1])[::-1] for counts in (fluid, total))  # at or above each bin's lower edge
        precision = tp / np.maximum(marked, 1)
        found['average_precision'] = float((fluid * precision).sum() / fluid.sum())
        dice = 2 * tp / (marked + fluid.sum())
        best = min(np.flatnonzero(dice == dice.max()), key=lambda place: abs(EDGES[place]))
        found |= {'best_dice': float(dice[best]), 'best_threshold': float(EDGES[best])}
    return found
