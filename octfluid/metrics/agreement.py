"""Agreement of predicted and true foreground area, image by image, and the area of a pixel in mm2.

Bland and Altman ("Statistical methods for assessing agreement between two methods of clinical measurement", Lancet 327:307,
1986): a method is judged by the differences it makes, not by correlation, which is high wherever large areas occur. The mean
of the differences is the bias, and bias -+ 1.96 standard deviations (n - 1) are the limits between which 95 % of normally
distributed differences lie.

Images of one patient are not independent, which these plain limits take no account of (Bland and Altman, J Biopharm Stat
17:571, 2007), so they describe the scored images; the intervals of `octfluid.metrics.bootstrap` come from drawing whole
patients. An image without fluid takes part with a true area of 0, one without prediction with a predicted area of 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from octfluid.datasets.splits import paper_rows
from octfluid.records.runs import DECIMALS
from octfluid.reporting.same_images import Scored

LIMIT = 1.96
"""Standard deviations between the bias and a limit of agreement."""

DUKE_NATIVE = (496, 768)
"""Height and width of a B-scan of the Duke DME data as published, in pixels."""

DUKE_MM = (0.00387, 0.01133)
"""Nominal mm a native pixel, axial and lateral; the true lateral scale varies by subject and is not in the files."""

AREA_SUMS = ('images', 'true', 'predicted', 'true2', 'predicted2', 'product')
"""Sums over images behind the measures: how many; of both areas, of their squares, of their product (px and px2)."""


def area_features(true: Any, predicted: Any, centre: int) -> dict[str, Any]:
    """Return what an image adds to `AREA_SUMS`, areas counted from ``centre`` to keep squares small.

    Args:
        true: True foreground area in px, of one image or an integer array of many.
        predicted: Predicted foreground area in px, of the same.
        centre: Any number in px, the same for all images; no measure depends on it.
    """
    x, y = true - centre, predicted - centre
    return {'images': x * 0 + 1, 'true': x, 'predicted': y, 'true2': x * x, 'predicted2': y * y, 'product': x * y}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the fraction element by element, float64, NaN where it is 0/0 or anything else over 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def bias(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean over all images of predicted minus true area, in px; positive where too much is predicted."""
    return ratio(sums['predicted'] - sums['true'], sums['images'])


def limit(sums: Mapping[str, np.ndarray], sign: int) -> np.ndarray:
    """Lower (``sign`` -1) or upper (+1) limit of agreement in px: bias -+ 1.96 SD; NaN with fewer than two images."""
    n = sums['images']
    difference = sums['predicted'] - sums['true']
    squares = sums['predicted2'] - 2 * sums['product'] + sums['true2']
    variance = ratio(squares - ratio(difference * difference, n), np.maximum(n - 1, 0))
    return bias(sums) + sign * LIMIT * np.sqrt(np.maximum(variance, 0))


def correlation(sums: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pearson's correlation of predicted and true area over all images (Pearson 1895), in [-1, 1].

    NaN where either area is the same on all images (nothing predicted anywhere, no fluid anywhere, a single image).
    """
    n, x, y = sums['images'], sums['true'], sums['predicted']
    spread_x, spread_y = np.maximum(n * sums['true2'] - x * x, 0), np.maximum(n * sums['predicted2'] - y * y, 0)
    return np.clip(ratio(n * sums['product'] - x * y, np.sqrt(spread_x) * np.sqrt(spread_y)), -1, 1)


def areas(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Return true and predicted foreground area of images, two (N,) int64 arrays in px."""
    true = np.array([row['tp'] + row['fn'] for row in rows], np.int64)
    return true, np.array([row['tp'] + row['fp'] for row in rows], np.int64)


def bland_altman(scored: Scored) -> dict[str, Any]:
    """Return what a Bland-Altman plot shows, in px.

    Args:
        scored: From `octfluid.reporting.same_images.scored`.

    Returns:
        ``true`` and ``predicted`` (N areas in the order of the images; the second a mean over seeds), ``bias``, ``low`` and
        ``high`` (limits of agreement), each of these three computed for each seed and then averaged; the limits are None for
        a single image.
    """
    by_seed = []
    for rows in scored.rows:
        true, predicted = areas(rows)
        sums = {key: values.sum() for key, values in area_features(true, predicted, 0).items()}
        by_seed.append((predicted, float(bias(sums)), float(limit(sums, -1)), float(limit(sums, 1))))
    predicted, *figures = (np.mean(values, axis=0) for values in zip(*by_seed, strict=True))
    middle, low, high = (None if np.isnan(value) else round(float(value), DECIMALS) for value in figures)
    return {
        'true': [int(area) for area in true],
        'predicted': [round(float(area), DECIMALS) for area in predicted],
        'bias': middle,
        'low': low,
        'high': high,
    }


def pixel_mm2(names: Iterable[str], height: int, width: int) -> float | None:
    """Return the nominal area of a pixel in mm2 where it is known: for B-scans of the Duke DME data at any size.

    A native pixel is 0.00387 x 0.01133 mm; at another size the same scan area is shared among ``height`` x ``width`` pixels.

    Args:
        names: Image names, such as ``s01_z10``.
        height: Of the scored images, in pixels.
        width: Of the scored images, in pixels.

    Returns:
        mm2 a pixel, nominal; None where any name is not one of the paper's 110 scans, or there is no name.
    """
    names = set(names)
    if not names or not names <= {row.scan.name for row in paper_rows()}:
        return None
    return DUKE_MM[0] * DUKE_MM[1] * (DUKE_NATIVE[0] * DUKE_NATIVE[1]) / (height * width)
