"""What a group of runs is measured by: every measure a function of sums over images.

Because of that, the mean over images, the pooled score and the score of any draw of patients are all one matrix product away
from each other: see `octfluid.metrics.bootstrap`. An undefined measure is NaN in arrays and None in results, never 0.

What `extra` of a run record holds (surface Dice, Hausdorff distance, pockets) is not in old records. A measure made from it is
undefined for a group as soon as one image lacks it: a mean over the images that have it would be of other images.

Other modules take all they need of images and measures from here; `octfluid.reporting.same_images` and
`octfluid.metrics.agreement` are its parts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from octfluid.metrics.agreement import (
    AREA_SUMS,
    area_features,
    areas,
    bias,
    bland_altman,
    correlation,
    limit,
    pixel_mm2,
    ratio,
)
from octfluid.metrics.confusion import COUNTS, pooled_metrics
from octfluid.reporting.same_images import Scored, check_same_images, per_image, per_subject, scored

__all__ = [
    'FEATURES',
    'MEASURES',
    'Measure',
    'Scored',
    'bland_altman',
    'by_feature',
    'check_same_images',
    'per_image',
    'per_subject',
    'pixel_mm2',
    'scored',
    'subject_features',
]

Sums = Mapping[str, np.ndarray]

_POCKETS = ('true', 'found', 'predicted', 'right')
FEATURES = (
    *COUNTS,
    *AREA_SUMS,
    *('with_fluid', 'without_fluid', 'image_dice', 'marked', 'false_px'),
    *('surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'hd95_images'),
    *(f'pockets_{kind}' for kind in _POCKETS),
    *('subject_dice', 'scored_subjects'),
)
"""What is summed over images; the last two over subjects."""


@dataclass(frozen=True)
class Measure:
    """A measure of a group of runs.

    Attributes:
        name: Its key in results.
        title: Its name on pages.
        unit: ``%`` for a fraction that pages show in percent, ``px`` (of the scored image), or empty.
        better: ``higher``, ``lower`` or ``zero`` (the nearer to 0, the better).
        images: The feature whose sum is the number of images it rests on.
        of: Takes sums by feature, arrays of any one shape, and returns the measure in that shape, NaN where undefined.
    """

    name: str
    title: str
    unit: str
    better: str
    images: str
    of: Callable[[Sums], np.ndarray]


def dice(sums: Sums) -> np.ndarray:
    """Dice of the pooled pixels, 2 TP / (2 TP + FP + FN) (Dice 1945, Sorensen 1948), in [0, 1].

    An image without fluid adds its false positives and has no score of its own. NaN where no image has any fluid, true or
    predicted.
    """
    return ratio(2 * sums['tp'], 2 * sums['tp'] + sums['fp'] + sums['fn'])


def iou(sums: Sums) -> np.ndarray:
    """Intersection over union of the pooled pixels, TP / (TP + FP + FN) (Jaccard 1912), in [0, 1]; empty images as `dice`."""
    return ratio(sums['tp'], sums['tp'] + sums['fp'] + sums['fn'])


def _both_classes(score: Callable[[Sums], np.ndarray], sums: Sums) -> np.ndarray:
    """Mean of a score of fluid and of background, over the classes where it is defined, as mmseg's ``IoUMetric``.

    On small lesions the background's share is near 1 whatever is predicted: calling every pixel background scores about one
    half. Without any fluid, true or predicted, it is the background's score alone.
    """
    fluid = score(sums)
    background = score({**sums, 'tp': sums['tn'], 'fp': sums['fn'], 'fn': sums['fp']})
    mean = (fluid + background) / 2
    return np.where(np.isnan(fluid), background, np.where(np.isnan(background), fluid, mean))


def precision(sums: Sums) -> np.ndarray:
    """Share of the predicted pixels, pooled, that are truly fluid: TP / (TP + FP), in [0, 1]; NaN where none is predicted."""
    return ratio(sums['tp'], sums['tp'] + sums['fp'])


def recall(sums: Sums) -> np.ndarray:
    """Share of the true fluid pixels, pooled, that are predicted: TP / (TP + FN), in [0, 1]; NaN without true fluid."""
    return ratio(sums['tp'], sums['tp'] + sums['fn'])


def _mean_with_fluid(key: str) -> Callable[[Sums], np.ndarray]:
    """Mean of a feature over the images with true fluid, NaN without any.

    Images without fluid are not in it, since any convention for them (1 for a right empty prediction, 0 for one false pixel)
    moves the mean more than the model does (Reinke et al., "Understanding metric-related pitfalls in image analysis
    validation", Nature Methods 21:182, 2024); `false_positive_rate` and `false_positive_px` are about them. An image with
    fluid on which nothing is predicted counts as 0.

    The Dice is that of each image (see `dice`). The surface Dice at tolerance t is the share of both outlines that lies within
    t pixels of the other one (Nikolov et al., J Med Internet Res 23:e26151, 2021), as stored in the run record.
    """
    return lambda sums: ratio(sums[key], sums['with_fluid'])


def subject_dice(sums: Sums) -> np.ndarray:
    """Mean over subjects of the Dice of each subject's pooled pixels, so that each patient counts the same, in [0, 1].

    A subject without any fluid, true or predicted, is not in it; one without true fluid but with predicted fluid counts 0. NaN
    where no subject is left, or an image's subject is unknown.
    """
    return ratio(sums['subject_dice'], sums['scored_subjects'])


def false_positive_rate(sums: Sums) -> np.ndarray:
    """Share of the images without true fluid on which at least one pixel is predicted, in [0, 1]; NaN without such images."""
    return ratio(sums['marked'], sums['without_fluid'])


def false_positive_px(sums: Sums) -> np.ndarray:
    """Mean number of predicted pixels on images without true fluid, in px; NaN without such images."""
    return ratio(sums['false_px'], sums['without_fluid'])


def hd95(sums: Sums) -> np.ndarray:
    """Mean 95 % Hausdorff distance in px (Huttenlocher et al. 1993; 95 %: Taha and Hanbury, BMC Med Imaging 15:29, 2015).

    Over the images where it is defined: true and predicted fluid both present. So it says nothing of missed or invented images
    and must be read with the number of images; NaN where no image is left.
    """
    return ratio(sums['hd95_px'], sums['hd95_images'])


def pocket_sensitivity(sums: Sums) -> np.ndarray:
    """Share of the true pockets (8-connected) that are found, over all images: at least half of their pixels predicted.

    In [0, 1], each pocket counting the same whatever its size; NaN without true pockets.
    """
    return ratio(sums['pockets_found'], sums['pockets_true'])


def pocket_precision(sums: Sums) -> np.ndarray:
    """Share of the predicted pockets (8-connected) that are right, over all images: at least half of their pixels true fluid.

    In [0, 1], each pocket counting the same whatever its size; NaN without predicted pockets.
    """
    return ratio(sums['pockets_right'], sums['pockets_predicted'])


_ALL = (
    Measure('dice', 'Dice', '%', 'higher', 'images', dice),
    Measure('iou', 'IoU', '%', 'higher', 'images', iou),
    Measure('mdice', 'mDice', '%', 'higher', 'images', lambda sums: _both_classes(dice, sums)),
    Measure('miou', 'mIoU', '%', 'higher', 'images', lambda sums: _both_classes(iou, sums)),
    Measure('precision', 'Precision', '%', 'higher', 'images', precision),
    Measure('recall', 'Recall', '%', 'higher', 'images', recall),
    Measure('image_dice', 'Dice, mean of images with fluid', '%', 'higher', 'with_fluid', _mean_with_fluid('image_dice')),
    Measure('subject_dice', 'Dice, mean of subjects', '%', 'higher', 'images', subject_dice),
    Measure('false_positive_rate', 'Images without fluid marked', '%', 'lower', 'without_fluid', false_positive_rate),
    Measure('false_positive_px', 'False area on images without fluid', 'px', 'lower', 'without_fluid', false_positive_px),
    Measure('surface_dice_1px', 'Surface Dice at 1 px', '%', 'higher', 'with_fluid', _mean_with_fluid('surface_dice_1px')),
    Measure('surface_dice_2px', 'Surface Dice at 2 px', '%', 'higher', 'with_fluid', _mean_with_fluid('surface_dice_2px')),
    Measure('hd95_px', '95 % Hausdorff distance', 'px', 'lower', 'hd95_images', hd95),
    Measure('pocket_sensitivity', 'Pocket sensitivity', '%', 'higher', 'images', pocket_sensitivity),
    Measure('pocket_precision', 'Pocket precision', '%', 'higher', 'images', pocket_precision),
    Measure('area_bias_px', 'Area, bias', 'px', 'zero', 'images', bias),
    Measure('area_limit_low_px', 'Area, lower limit of agreement', 'px', 'zero', 'images', lambda sums: limit(sums, -1)),
    Measure('area_limit_high_px', 'Area, upper limit of agreement', 'px', 'zero', 'images', lambda sums: limit(sums, 1)),
    Measure('area_correlation', 'Area, correlation', '', 'higher', 'images', correlation),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
"""The measures by name, in the order of pages."""


def by_feature(table: np.ndarray) -> dict[str, np.ndarray]:
    """Name the planes of an array (len(FEATURES), ...), so that a measure can take it."""
    return dict(zip(FEATURES, table, strict=True))


def subject_features(scored: Scored) -> np.ndarray:
    """Sum the features of each patient's images.

    Args:
        scored: From `octfluid.reporting.same_images.scored`.

    Returns:
        (len(FEATURES), S, P) float64, subjects in the order of ``scored.patients``; NaN where an image lacks what it takes.
        Counts and areas are whole numbers below 2**53 and so are their sums exact.
    """
    place = {subject: index for index, subject in enumerate(scored.patients)}
    centre = round(float(np.mean(areas(scored.rows[0])[0])))
    table = np.zeros((len(FEATURES), len(scored.seeds), len(place)))
    for seed, rows in enumerate(scored.rows):
        for subject, row in zip(scored.subjects, rows, strict=True):
            features = _image_features(row, centre)
            table[:, seed, place[subject]] += [features.get(key, 0) for key in FEATURES]
    own = dice(by_feature(table))
    table[FEATURES.index('subject_dice')] = np.nan_to_num(own) if scored.patients_known else np.nan
    table[FEATURES.index('scored_subjects')] = ~np.isnan(own)
    return table


def _image_features(row: Mapping[str, Any], centre: int) -> dict[str, float]:
    true, predicted = row['tp'] + row['fn'], row['tp'] + row['fp']
    features = {**{key: row[key] for key in COUNTS}, **area_features(true, predicted, centre)}
    extra = row['extra']
    pockets = extra.get('pockets', {})
    features |= {f'pockets_{kind}': pockets.get(kind, math.nan) for kind in _POCKETS}
    # Present and null: a mask is empty. Absent: an old record.
    distance = extra.get('hd95_px', math.nan)
    features |= {'hd95_px': distance or 0, 'hd95_images': distance is not None}
    if true:
        # With true fluid both are numbers in every record that has them.
        surfaces = {key: extra.get(key) for key in ('surface_dice_1px', 'surface_dice_2px')}
        features |= {key: math.nan if value is None else value for key, value in surfaces.items()}
        return features | {'with_fluid': 1, 'image_dice': pooled_metrics([row])['Dice.fluid']}
    missing = {key: math.nan for key in ('surface_dice_1px', 'surface_dice_2px') if key not in extra}
    return features | missing | {'without_fluid': 1, 'marked': predicted > 0, 'false_px': predicted}
