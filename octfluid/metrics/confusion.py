"""Pixel counts of one image, and the scores that follow from the counts of many.

Counts are the raw material of every table: from true/false positives and negatives per image each pooled score can be
recomputed without the model. No torch here, so that reports can be made anywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from octfluid.metrics.lesions import pocket_counts
from octfluid.metrics.surface import surface_scores
from octfluid.utils.errors import InputError

COUNTS = ('tp', 'fp', 'fn', 'tn')


def _ratio(numerator: int, denominator: int) -> float | None:
    """Return the fraction, or None where it is 0/0."""
    return numerator / denominator if denominator else None


def _mean_of_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def pooled_metrics(
    images: Sequence[Mapping[str, Any]], classes: tuple[str, str] = ('background', 'fluid')
) -> dict[str, float | None]:
    """Score a set of images by pooling their pixels, as mmseg's ``IoUMetric`` does.

    IoU = TP / (TP + FP + FN) and Dice = 2 TP / (2 TP + FP + FN) for each class, with the roles of the counts exchanged for
    the background; aAcc is the share of right pixels. An image without any foreground adds only its false positives and true
    negatives: it has no score of its own, so no convention for empty images is needed.

    Args:
        images: Mappings with integer ``tp``, ``fp``, ``fn``, ``tn`` (pixels), where positive means ``classes[1]``.
        classes: Names of the negative and the positive class.

    Returns:
        ``mIoU``, ``mDice``, ``aAcc``, and ``IoU.<class>``, ``Dice.<class>`` for both classes: fractions in [0, 1], None where
        undefined (0/0). The two means run over the classes where the score is defined.
    """
    tp, fp, fn, tn = (sum(int(image[key]) for image in images) for key in COUNTS)
    negative, positive = classes
    iou = {negative: _ratio(tn, tn + fp + fn), positive: _ratio(tp, tp + fp + fn)}
    dice = {negative: _ratio(2 * tn, 2 * tn + fp + fn), positive: _ratio(2 * tp, 2 * tp + fp + fn)}
    return {
        'mIoU': _mean_of_defined(list(iou.values())),
        'mDice': _mean_of_defined(list(dice.values())),
        'aAcc': _ratio(tp + tn, tp + fp + fn + tn),
        **{f'IoU.{name}': value for name, value in iou.items()},
        **{f'Dice.{name}': value for name, value in dice.items()},
    }


def predict_nothing(images: Sequence[Mapping[str, Any]]) -> list[dict[str, int]]:
    """Return the counts that the same images would have if every pixel had been called background.

    Args:
        images: Mappings with ``tp``, ``fp``, ``fn``, ``tn``.

    Returns:
        One mapping of the four counts an image: every foreground pixel missed, every background pixel right.
    """
    return [{'tp': 0, 'fp': 0, 'fn': image['tp'] + image['fn'], 'tn': image['tn'] + image['fp']} for image in images]


def image_row(
    name: str, subject: int | str | None, prediction: np.ndarray, truth: np.ndarray, ignore_index: int = 255, classes=('background', 'fluid')
) -> dict[str, Any]:
    """Compare one predicted mask with its ground truth.

    Args:
        name: The image's name in the data set, such as ``s01_z10``.
        subject: The patient the image belongs to, or None if unknown.
        prediction: (H, W) array of 0 and 1, any integer or boolean dtype.
        truth: (H, W) array of 0, 1 and ``ignore_index``, any integer or boolean dtype.
        ignore_index: Pixels with this truth are not counted.

    Returns:
        An element of a run record's ``images``: name, subject, height, width (pixels), tp, fp, fn, tn (pixels), and ``extra``:
        what only the masks tell, of the counted pixels (all others are outside of both masks). These are the scores of
        `octfluid.metrics.surface.surface_scores`; ``pockets``, see `octfluid.metrics.lesions.pocket_counts`; and
        ``ignored``, the pixels that are not counted, where there are any. The four counts and ``ignored`` add up to the image.

    Raises:
        InputError: The shapes differ or are not (H, W), or a mask holds any other value.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if truth.ndim != 2 or prediction.shape != truth.shape:
        raise InputError(
            f'{name}: the prediction has shape {prediction.shape} and the ground truth {truth.shape}; '
            'expected the same (height, width) for both'
        )
    counted = truth != ignore_index
    for mask, what, allowed in ((prediction, 'prediction', '0 and 1'), (truth, 'ground truth', f'0, 1 and {ignore_index}')):
        wrong = mask[counted & (mask != 0) & (mask != 1)]
        if wrong.size:
            raise InputError(f'{name}: the {what} holds the value {wrong.flat[0]}; expected only {allowed}')
    predicted, actual = (prediction == 1) & counted, (truth == 1) & counted
    tp = int(np.count_nonzero(predicted & actual))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(actual)) - tp
    tn = int(np.count_nonzero(counted)) - tp - fp - fn
    extra: dict[str, Any] = {**surface_scores(predicted, actual), 'pockets': pocket_counts(predicted, actual)}
    if ignored := counted.size - int(np.count_nonzero(counted)):
        extra['ignored'] = ignored
    size = {'height': int(truth.shape[0]), 'width': int(truth.shape[1])}
    return {'name': name, 'subject': subject, **size, 'tp': tp, 'fp': fp, 'fn': fn, 'tn': tn, 'extra': extra}
