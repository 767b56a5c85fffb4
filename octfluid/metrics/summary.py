"""The measures of a configuration: its images, scored once for every seed, and functions of sums over them.

Because each measure is a function of sums, the score of any draw of patients is a matrix product away:
`octfluid.metrics.bootstrap`. An undefined measure is NaN in arrays and None in results, never 0. Old run records lack surface
Dice, Hausdorff distance and pockets; a measure made from them is undefined for a group if one image lacks it.

``docs/metrics.md`` has the definitions in words, and what each measure hides.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from octfluid.datasets.splits import paper_rows
from octfluid.io.scan import Spacing
from octfluid.metrics.confusion import COUNTS, pooled_metrics, rounded
from octfluid.metrics.lesions import POCKET_COUNTS
from octfluid.utils.errors import InputError

# --- the images of a configuration ---

_SAME = ('name', 'subject', 'height', 'width')


class Scored(NamedTuple):
    """Images of one configuration, the same N images for each of S seeds; made by `scored`."""

    names: tuple[str, ...]  # ascending
    subjects: tuple[int | str | None, ...]  # the patient of each image, None where unknown
    seeds: tuple[int, ...]  # ascending
    rows: tuple[tuple[Mapping[str, Any], ...], ...]  # S x N elements of a run record's ``images``

    @property
    def patients(self) -> tuple[int | str | None, ...]:
        """The P different subjects: None first where an image's subject is unknown, then numbers, then texts, ascending."""
        return tuple(sorted(set(self.subjects), key=lambda subject: (type(subject).__name__, subject)))


def scored(images_by_seed: Mapping[int, Sequence[Mapping[str, Any]]]) -> Scored:
    """Bring the images of run records, by seed, in one order; at least one of each.

    Raises:
        InputError: An image occurs twice in one seed, or two seeds differ in its presence, subject, size or true pixels.
    """
    seeds = tuple(sorted(images_by_seed))
    rows = tuple(tuple(sorted(images_by_seed[seed], key=lambda row: row['name'])) for seed in seeds)
    for seed, images in zip(seeds, rows, strict=True):
        if len({row['name'] for row in images}) < len(images):
            raise InputError(f'seed {seed}: an image is scored twice; expected each once, remove a record')
        _check_same(rows[0], images, f'seed {seeds[0]}', f'seed {seed}')
    names, subjects = (tuple(row[key] for row in rows[0]) for key in ('name', 'subject'))
    return Scored(names, subjects, seeds, rows)


def check_same_images(arm: Scored, reference: Scored) -> None:
    """Raise InputError if an image of two configurations is of only one, or differs in subject, size or true pixels."""
    _check_same(arm.rows[0], reference.rows[0], 'one configuration', 'the other')


def _check_same(first: Sequence[Mapping], second: Sequence[Mapping], one: str, other: str) -> None:
    sides = [
        {(*(row[key] for key in _SAME), row['tp'] + row['fn'], row['fp'] + row['tn']) for row in rows}
        for rows in (first, second)
    ]
    if odd := sorted(sides[0] ^ sides[1], key=lambda row: row[0]):
        raise InputError(
            f'image {odd[0][0]}: only {one} or {other} scores it, or they differ in its subject, size or true pixels; expected '
            'the same images on both sides, score one of them again'
        )


def per_subject(scored: Scored) -> list[dict[str, Any]]:
    """Score each patient, all images of the patient pooled, in the order of `Scored.patients`.

    Returns:
        ``subject``, ``images`` and ``with_fluid`` (numbers of images), ``true_px`` (foreground pixels of all of them), ``dice``
        (a fraction for each seed, None where it is 0/0) and ``mean`` over the seeds, None unless all are defined.
    """
    found = []
    for subject in scored.patients:
        mine = [[row for row in rows if row['subject'] == subject] for rows in scored.rows]
        dice = [pooled_metrics(rows)['Dice.fluid'] for rows in mine]
        true = _areas(mine[0])[0]
        numbers = {'images': len(true), 'with_fluid': int(np.count_nonzero(true)), 'true_px': int(true.sum())}
        found.append({'subject': subject, **numbers, 'dice': [rounded(value) for value in dice], 'mean': _mean(dice)})
    return found


def per_image(scored: Scored) -> list[dict[str, Any]]:
    """Describe what is true and what was predicted on each image, ascending by name.

    Returns:
        ``name``, ``subject``, ``true_px``, and means over the seeds of ``predicted_px``, ``false_px`` (false positive pixels)
        and ``dice`` (a fraction; None for an image without true foreground).
    """
    found = []
    for rows in zip(*scored.rows, strict=True):
        true_px = rows[0]['tp'] + rows[0]['fn']
        found.append({
            **{key: rows[0][key] for key in ('name', 'subject')},
            'true_px': true_px,
            'predicted_px': _mean([row['tp'] + row['fp'] for row in rows]),
            'dice': _mean([pooled_metrics([row])['Dice.fluid'] for row in rows]) if true_px else None,
            'false_px': _mean([row['fp'] for row in rows]),
        })  # fmt: skip
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else rounded(sum(values) / len(values))


# --- measures, functions of sums ---

Sums = Mapping[str, np.ndarray]

FEATURES = (
    *COUNTS,
    *('images', 'true', 'predicted', 'true2', 'predicted2', 'product'),
    *('with_fluid', 'without_fluid', 'image_dice', 'marked', 'false_px'),
    *('surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'hd95_images'),
    *(f'pockets_{kind}' for kind in POCKET_COUNTS),
    *('subject_dice', 'scored_subjects'),
)
"""What is summed over images, see `area_features` for the second line; the last two over subjects."""


class Measure(NamedTuple):
    """A measure of a group of runs."""

    name: str  # its key in results
    title: str  # its name on pages
    unit: str  # % for a fraction that pages show in percent, px (of the scored image), or empty
    images: str  # the feature whose sum is the number of images it rests on
    of: Callable[[Sums], np.ndarray]  # takes sums of any one shape, and returns that shape; NaN where undefined


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the fraction element by element, float64, NaN where it is 0/0 or anything else over 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)


def dice(sums: Sums) -> np.ndarray:
    """Dice of the pooled pixels, 2 TP / (2 TP + FP + FN) (Dice 1945, Sorensen 1948), in [0, 1]; NaN without any fluid."""
    return ratio(2 * sums['tp'], 2 * sums['tp'] + sums['fp'] + sums['fn'])


def iou(sums: Sums) -> np.ndarray:
    """Intersection over union of the pooled pixels, TP / (TP + FP + FN) (Jaccard 1912), in [0, 1]; NaN as `dice`."""
    return ratio(sums['tp'], sums['tp'] + sums['fp'] + sums['fn'])


def _both_classes(score: Callable[[Sums], np.ndarray], sums: Sums) -> np.ndarray:
    """Mean of a score of fluid and of background, over the classes where it is defined, as mmseg's ``IoUMetric``."""
    fluid, background = score(sums), score({**sums, 'tp': sums['tn'], 'fp': sums['fn'], 'fn': sums['fp']})
    both = (fluid + background) / 2
    return np.where(np.isnan(fluid), background, np.where(np.isnan(background), fluid, both))


def _share(part: str, whole: str) -> Callable[[Sums], np.ndarray]:
    return lambda sums: ratio(sums[part], sums[whole])


def bias(sums: Sums) -> np.ndarray:
    """Mean over all images of predicted minus true area, in px; positive where too much is predicted."""
    return ratio(sums['predicted'] - sums['true'], sums['images'])


def limit(sums: Sums, sign: int) -> np.ndarray:
    """Lower (``sign`` -1) or upper (+1) limit of agreement in px: bias -+ 1.96 SD (n - 1); NaN with fewer than two images.

    Bland and Altman, Lancet 327:307, 1986. The limits describe the scored images: they ignore that several are of one patient.
    """
    n = sums['images']
    difference = sums['predicted'] - sums['true']
    squares = sums['predicted2'] - 2 * sums['product'] + sums['true2']
    variance = ratio(squares - ratio(difference * difference, n), np.maximum(n - 1, 0))
    return bias(sums) + sign * 1.96 * np.sqrt(np.maximum(variance, 0))


def correlation(sums: Sums) -> np.ndarray:
    """Pearson's correlation of predicted and true area (1895), in [-1, 1]; NaN where an area is the same on all images."""
    n, x, y = sums['images'], sums['true'], sums['predicted']
    spread_x, spread_y = np.maximum(n * sums['true2'] - x * x, 0), np.maximum(n * sums['predicted2'] - y * y, 0)
    return np.clip(ratio(n * sums['product'] - x * y, np.sqrt(spread_x) * np.sqrt(spread_y)), -1, 1)


# Means over images with fluid leave out the others, because any convention for them moves the mean more than the model does
# (Reinke et al., Nature Methods 21:182, 2024); an image with fluid on which nothing is predicted counts as 0.
# Surface Dice and HD95 have their sources in `octfluid.metrics.surface`, the limits of agreement in `limit`.
_ALL = (
    ('dice', 'Dice', '%', 'images', dice),
    ('iou', 'IoU', '%', 'images', iou),
    ('mdice', 'mDice', '%', 'images', partial(_both_classes, dice)),
    ('miou', 'mIoU', '%', 'images', partial(_both_classes, iou)),
    ('precision', 'Precision', '%', 'images', lambda sums: ratio(sums['tp'], sums['tp'] + sums['fp'])),
    ('recall', 'Recall', '%', 'images', lambda sums: ratio(sums['tp'], sums['tp'] + sums['fn'])),
    ('image_dice', 'Dice, mean of images with fluid', '%', 'with_fluid', _share('image_dice', 'with_fluid')),
    ('subject_dice', 'Dice, mean of subjects', '%', 'images', _share('subject_dice', 'scored_subjects')),
    ('false_positive_rate', 'Images without fluid marked', '%', 'without_fluid', _share('marked', 'without_fluid')),
    ('false_positive_px', 'False area on images without fluid', 'px', 'without_fluid', _share('false_px', 'without_fluid')),
    ('surface_dice_1px', 'Surface Dice at 1 px', '%', 'with_fluid', _share('surface_dice_1px', 'with_fluid')),
    ('surface_dice_2px', 'Surface Dice at 2 px', '%', 'with_fluid', _share('surface_dice_2px', 'with_fluid')),
    ('hd95_px', '95 % Hausdorff distance', 'px', 'hd95_images', _share('hd95_px', 'hd95_images')),
    ('pocket_sensitivity', 'Pocket sensitivity', '%', 'images', _share('pockets_found', 'pockets_true')),
    ('pocket_precision', 'Pocket precision', '%', 'images', _share('pockets_right', 'pockets_predicted')),
    ('area_bias_px', 'Area, bias', 'px', 'images', bias),
    ('area_limit_low_px', 'Area, lower limit of agreement', 'px', 'images', lambda sums: limit(sums, -1)),
    ('area_limit_high_px', 'Area, upper limit of agreement', 'px', 'images', lambda sums: limit(sums, 1)),
    ('area_correlation', 'Area, correlation', '', 'images', correlation),
)
MEASURES: dict[str, Measure] = {row[0]: Measure(*row) for row in _ALL}
"""The measures by name, in the order of pages."""


def by_feature(table: np.ndarray) -> dict[str, np.ndarray]:
    """Name the planes of an array (len(FEATURES), ...), so that a measure can take it."""
    return dict(zip(FEATURES, table, strict=True))


def area_features(true: Any, predicted: Any, centre: int) -> dict[str, Any]:
    """Return what images add to the sums behind the agreement of areas; these count from ``centre``: small squares."""
    x, y = true - centre, predicted - centre
    return {'images': x * 0 + 1, 'true': x, 'predicted': y, 'true2': x * x, 'predicted2': y * y, 'product': x * y}


def _areas(rows: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    true = np.array([row['tp'] + row['fn'] for row in rows], np.int64)
    return true, np.array([row['tp'] + row['fp'] for row in rows], np.int64)


def subject_features(scored: Scored) -> np.ndarray:
    """Sum the features of each patient's images.

    Returns:
        (len(FEATURES), S, P) float64, subjects in the order of ``scored.patients``; NaN where an image lacks a feature.
        Counts and areas are whole numbers below 2**53 and so are their sums exact.
    """
    place = {subject: index for index, subject in enumerate(scored.patients)}
    centre = round(float(np.mean(_areas(scored.rows[0])[0])))
    table = np.zeros((len(FEATURES), len(scored.seeds), len(place)))
    for seed, rows in enumerate(scored.rows):
        for row in rows:
            features = _image_features(row, centre)
            table[:, seed, place[row['subject']]] += [features.get(key, 0) for key in FEATURES]
    own = dice(by_feature(table))
    table[FEATURES.index('subject_dice')] = np.nan_to_num(own) if None not in scored.subjects else np.nan
    table[FEATURES.index('scored_subjects')] = ~np.isnan(own)
    return table


def _image_features(row: Mapping[str, Any], centre: int) -> dict[str, float]:
    true, predicted, extra = row['tp'] + row['fn'], row['tp'] + row['fp'], row['extra']
    features = {**{key: row[key] for key in COUNTS}, **area_features(true, predicted, centre)}
    features |= {f'pockets_{kind}': extra.get('pockets', {}).get(kind, math.nan) for kind in POCKET_COUNTS}
    # Present and null: a mask is empty. Absent: an old record.
    distance = extra.get('hd95_px', math.nan)
    features |= {'hd95_px': distance or 0, 'hd95_images': distance is not None}
    for key in ('surface_dice_1px', 'surface_dice_2px'):
        features[key] = math.nan if key not in extra else extra[key] if true else 0
    if true:
        return features | {'with_fluid': 1, 'image_dice': pooled_metrics([row])['Dice.fluid']}
    return features | {'without_fluid': 1, 'marked': predicted > 0, 'false_px': predicted}


# --- areas ---


def bland_altman(scored: Scored) -> dict[str, Any]:
    """Return what a Bland-Altman plot shows, in px (Bland and Altman, Lancet 327:307, 1986).

    Returns:
        ``true`` and ``predicted`` (N areas in the order of the images; the second a mean over seeds), and ``bias``, ``low`` and
        ``high`` (limits of agreement; None for a single image), computed for each seed and then averaged.
    """
    by_seed = []
    for rows in scored.rows:
        true, predicted = _areas(rows)
        sums = {key: values.sum() for key, values in area_features(true, predicted, 0).items()}
        by_seed.append((predicted, float(bias(sums)), float(limit(sums, -1)), float(limit(sums, 1))))
    predicted, *figures = (np.mean(values, axis=0) for values in zip(*by_seed, strict=True))
    middle, low, high = (None if np.isnan(value) else rounded(value) for value in figures)
    areas = {'true': [int(area) for area in true], 'predicted': [rounded(area) for area in predicted]}
    return {**areas, 'bias': middle, 'low': low, 'high': high}


def pixel_mm2(names: Iterable[str], height: int, width: int) -> float | None:
    """Return the nominal area of a pixel in mm2, for B-scans of the Duke DME data scored at ``height`` x ``width``.

    None where any name, such as ``s01_z10``, is not of the paper's 110 scans, or without names.
    """
    names = set(names)
    if not names or not names <= {row.scan.name for row in paper_rows()}:
        return None
    # A native B-scan has 496 x 768 pixels of nominally 0.00387 x 0.01133 mm; the true lateral scale is not in the files.
    return Spacing(0.00387, 0.01133).pixel_mm2 * (496 * 768) / (height * width)
