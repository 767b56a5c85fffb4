"""Pixel counts of one image, and the scores that follow from the counts of many.

No torch here, so that reports can be made anywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from octfluid.metrics.lesions import pocket_counts
from octfluid.metrics.surface import surface_scores
from octfluid.utils.errors import InputError

COUNTS = ('tp', 'fp', 'fn', 'tn')
CLASSES = ('background', 'fluid')
DECIMALS = 8
"""Digits kept in ``results.json``: beyond any meaning, short of the last bits in which two machines may differ."""


def pooled_metrics(images: Sequence[Mapping[str, Any]], classes: Sequence[str] = CLASSES) -> dict[str, float | None]:
    """Score a set of images by pooling their pixels, as mmseg's ``IoUMetric`` does.

    IoU = TP / (TP + FP + FN) and Dice = 2 TP / (2 TP + FP + FN) for each class; aAcc is the share of right pixels.
    ``images`` are rows of `image_row`, ``classes`` names, background first; with two names the top-level counts are those of
    the second.

    Returns:
        ``mIoU``, ``mDice``, ``aAcc``, and ``IoU.<class>``, ``Dice.<class>`` for each class: fractions in [0, 1], None where
        undefined (0/0). The two means run over the classes where the score is defined.
    """
    if len(classes) == 2:
        tp, fp, fn, tn = (sum(int(image[key]) for image in images) for key in COUNTS)
        sums = {classes[0]: (tn, fn, fp, tp), classes[1]: (tp, fp, fn, tn)}
    else:
        rows = {name: [image['classes'][name] for image in images] for name in classes}
        sums = {name: tuple(sum(int(row[key]) for row in rows[name]) for key in COUNTS) for name in classes}
    iou = {f'IoU.{name}': _ratio(tp, tp + fp + fn) for name, (tp, fp, fn, _) in sums.items()}
    dice = {f'Dice.{name}': _ratio(2 * tp, 2 * tp + fp + fn) for name, (tp, fp, fn, _) in sums.items()}
    accuracy = _ratio(sum(tp for tp, *_ in sums.values()), sum(tp + fn for tp, _, fn, _ in sums.values()))
    return {'mIoU': _mean_of_defined(iou), 'mDice': _mean_of_defined(dice), 'aAcc': accuracy, **iou, **dice}


def rounded(value: float | None) -> float | None:
    """Round to `DECIMALS`; None stays None."""
    return None if value is None else round(float(value), DECIMALS) + 0.0  # -0.0, which reads like a tiny loss, becomes 0.0


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _mean_of_defined(scores: Mapping[str, float | None]) -> float | None:
    defined = [value for value in scores.values() if value is not None]
    return sum(defined) / len(defined) if defined else None


def predict_nothing(images: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the counts, and ``classes`` where rows of `image_row` have them, if every pixel had been called background."""
    found = []
    for image in images:
        row: dict[str, Any] = _missed(image)
        if 'classes' in image:
            (background, counts), *others = image['classes'].items()
            everything = {'tp': counts['tp'] + counts['fn'], 'fp': counts['fp'] + counts['tn'], 'fn': 0, 'tn': 0}
            row['classes'] = {background: everything, **{name: _missed(counts) for name, counts in others}}
        found.append(row)
    return found


def _missed(counts: Mapping[str, Any]) -> dict[str, int]:
    return {'tp': 0, 'fp': 0, 'fn': counts['tp'] + counts['fn'], 'tn': counts['tn'] + counts['fp']}


def image_row(
    name: str,
    subject: int | str | None,
    prediction: np.ndarray,
    truth: np.ndarray,
    ignore_index: int = 255,
    classes: Sequence[str] = CLASSES,
) -> dict[str, Any]:
    """Compare one predicted mask with its ground truth.

    Args:
        name: The image's name in the data set, such as ``s01_z10``.
        subject: The patient, or None if unknown.
        prediction: (H, W) class indices, any integer or boolean dtype.
        truth: The same, and ``ignore_index`` where pixels do not count.
        ignore_index: See ``truth``.
        classes: Names, background first.

    Returns:
        An element of a run record's ``images``: name, subject, height, width, and the pixels tp, fp, fn, tn, where positive is
        any class but background. ``extra`` is of the counted pixels and of any class but background: the scores of
        `surface_scores`, ``pockets`` from `pocket_counts`, and ``ignored`` (pixels) if any pixel is not counted. With more
        than two classes, ``classes`` maps each name, background included, to its own tp, fp, fn, tn.

    Raises:
        InputError: The shapes differ or are not (H, W), or a mask holds a value that is no class.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if truth.ndim != 2 or prediction.shape != truth.shape:
        shapes = f'the prediction has shape {prediction.shape} and the ground truth {truth.shape}'
        raise InputError(f'{name}: {shapes}; expected the same (height, width) for both')
    counted = truth != ignore_index
    for mask, what in ((prediction, 'prediction'), (truth, 'ground truth')):
        wrong = mask[counted & ~np.isin(mask, np.arange(len(classes)))]
        if wrong.size:
            raise InputError(f'{name}: the {what} holds the value {wrong[0]}; expected the classes 0 to {len(classes) - 1}')
    predicted, actual = (prediction != 0) & counted, (truth != 0) & counted
    pixels = int(np.count_nonzero(counted))
    extra: dict[str, Any] = {**surface_scores(predicted, actual), 'pockets': pocket_counts(predicted, actual)}
    if ignored := counted.size - pixels:
        extra['ignored'] = ignored
    row = {'name': name, 'subject': subject, 'height': truth.shape[0], 'width': truth.shape[1]}
    row |= {**_count(predicted, actual, pixels), 'extra': extra}
    if len(classes) > 2:
        masks = ((label, (prediction == k) & counted, (truth == k) & counted) for k, label in enumerate(classes))
        row['classes'] = {label: _count(predicted, actual, pixels) for label, predicted, actual in masks}
    return row


def _count(predicted: np.ndarray, actual: np.ndarray, pixels: int) -> dict[str, int]:
    tp = int(np.count_nonzero(predicted & actual))
    fp, fn = int(np.count_nonzero(predicted)) - tp, int(np.count_nonzero(actual)) - tp
    return {'tp': tp, 'fp': fp, 'fn': fn, 'tn': pixels - tp - fp - fn}
