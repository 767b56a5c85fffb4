import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from octfluid.metrics.confusion import image_row
from octfluid.metrics.summary import MEASURES, bland_altman, by_feature, pixel_mm2, scored, subject_features

SIDE = 8


def row(name, subject, tp, fp, fn, tn, **extra):
    return dict(name=name, subject=subject, height=10, width=10, tp=tp, fp=fp, fn=fn, tn=tn, extra=extra)


def masks(surface, distance, *pockets):
    return dict(
        surface_dice_1px=surface, surface_dice_2px=surface, hd95_px=distance,
        pockets=dict(zip(('true', 'found', 'predicted', 'right'), pockets, strict=True)),
    )  # fmt: skip


def measured(*seeds):
    """Return each measure's values by seed, NaN where undefined."""
    totals = by_feature(subject_features(scored(dict(enumerate(seeds)))).sum(axis=-1))
    return {name: measure.of(totals) for name, measure in MEASURES.items()}


def single(images):
    return {name: float(values[0]) for name, values in measured(images).items()}


IMAGES = [
    row('a', 1, 6, 2, 2, 90, **masks(0.5, 3.0, 2, 1, 3, 2)),
    row('b', 1, 0, 0, 8, 92, **masks(0.0, None, 1, 0, 0, 0)),
    row('c', 2, 0, 4, 0, 96, **masks(0.0, None, 0, 0, 2, 0)),
    row('d', 3, 0, 0, 0, 100, **masks(None, None, 0, 0, 0, 0)),
    row('e', 4, 10, 0, 0, 90, **masks(1.0, 0.0, 1, 1, 1, 1)),
]


def test_an_image_that_lacks_what_was_measured_on_masks_leaves_only_those_measures_undefined():
    from_masks = {'surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'pocket_sensitivity', 'pocket_precision'}
    for index in range(len(IMAGES)):
        images = [{**image, 'extra': {}} if place == index else image for place, image in enumerate(IMAGES)]
        values = single(images)
        assert {name for name, value in values.items() if np.isnan(value)} == from_masks
        assert all(values[name] == value for name, value in single(IMAGES).items() if name not in from_masks)


def degenerate():
    """Return predictions and truths, (2, 16, 1, SIDE, SIDE): every pair of the four masks on which formulas stumble."""
    empty, one, border = (np.zeros((SIDE, SIDE), np.uint8) for _ in range(3))
    one[3, 4] = 1
    border[[0, -1]] = 1
    border[:, [0, -1]] = 1
    shapes = [empty, 1 - empty, one, border]
    pairs = [(prediction, truth) for prediction in shapes for truth in shapes]
    return np.array(pairs).swapaxes(0, 1)[:, :, None]


def random_groups():
    """Return predictions and truths, (2, 100, 3, SIDE, SIDE), many images and some groups without fluid."""
    rng = np.random.default_rng(2)
    shares = rng.choice([0, 0.02, 0.3, 0.9], (2, 100, 3, 1, 1))
    return (rng.random((2, 100, 3, SIDE, SIDE)) < shares).astype(np.uint8)


def by_set(function, pairs):
    """Score (2, K, ...) pairs as K sets of pixels with a score of scikit-learn, NaN where it is undefined."""
    prediction, truth = pairs.reshape(2, pairs.shape[1], -1).swapaxes(1, 2)
    # Undefined is where the value to be returned in that case is returned.
    low, high = (function(truth, prediction, average=None, zero_division=value) for value in (0.0, 1.0))
    return np.where(low == high, low, np.nan)


def mean_of_defined(values):
    """Return the means of (G, n) values along the second axis, without the NaN, and NaN where nothing else is."""
    kept = [[value for value in group if not np.isnan(value)] for group in values]
    return np.array([np.mean(group) if group else np.nan for group in kept])


def oracle(pairs, subjects):
    """Measure (2, G, n, SIDE, SIDE) pairs, prediction and truth, with scikit-learn, NumPy and SciPy: (G,) by name."""
    groups, n = pairs.shape[1:3]
    dice, iou = ([by_set(score, side) for side in (pairs, 1 - pairs)] for score in (f1_score, jaccard_score))
    images = by_set(f1_score, pairs.reshape(2, groups * n, SIDE, SIDE)).reshape(groups, n)
    patients = [by_set(f1_score, pairs[:, :, np.equal(subjects, subject)]) for subject in sorted(set(subjects))]
    predicted, true = pairs.sum(axis=(-2, -1)).astype(float)
    gaps = predicted - true
    false = np.where(true == 0, predicted, np.nan)
    spread = 1.96 * (gaps.std(axis=1, ddof=1) if n > 1 else np.full(groups, np.nan))
    return {
        'dice': dice[0],
        'iou': iou[0],
        'mdice': mean_of_defined(np.transpose(dice)),
        'miou': mean_of_defined(np.transpose(iou)),
        'precision': by_set(precision_score, pairs),
        'recall': by_set(recall_score, pairs),
        'image_dice': mean_of_defined(np.where(true > 0, images, np.nan)),
        'subject_dice': mean_of_defined(np.transpose(patients)),
        'false_positive_rate': mean_of_defined(np.where(true == 0, predicted > 0, np.nan)),
        'false_positive_px': mean_of_defined(false),
        'area_bias_px': gaps.mean(axis=1),
        'area_limit_low_px': gaps.mean(axis=1) - spread,
        'area_limit_high_px': gaps.mean(axis=1) + spread,
        'area_correlation': [
            np.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else stats.pearsonr(x, y).statistic
            for x, y in zip(true, predicted, strict=True)
        ],
    }


@pytest.mark.parametrize('pairs', [degenerate(), random_groups()], ids=['degenerate', 'random'])
def test_measures_equal_those_of_scikit_learn_and_scipy(pairs):
    subjects = [1, 2, 1][: pairs.shape[2]]
    found = []
    for group in pairs.swapaxes(0, 1):
        images = [
            image_row(str(k), subjects[k], prediction, truth) for k, (prediction, truth) in enumerate(zip(*group, strict=True))
        ]
        found.append(single(images))
    expected = oracle(pairs, subjects)
    for name, values in expected.items():
        np.testing.assert_allclose([ours[name] for ours in found], values, rtol=0, atol=1e-9, err_msg=name)


def area_row(name, true, predicted):
    tp = min(true, predicted)
    return row(name, 1, tp, predicted - tp, true - tp, 9000 - predicted + tp)


def test_a_bland_altman_plot_shows_means_over_seeds():
    first = [area_row('a', 10, 8), area_row('b', 20, 20), area_row('c', 30, 35)]
    second = [area_row('a', 10, 11), area_row('b', 20, 21), area_row('c', 30, 31)]
    half = 1.96 * 13**0.5 / 2  # the second seed is 1 px off everywhere: bias 1, no spread
    assert bland_altman(scored({0: first, 1: second})) == {
        'true': [10, 20, 30], 'predicted': [9.5, 20.5, 33.0],
        'bias': 1.0, 'low': round(1 - half, 8), 'high': round(1 + half, 8),
    }  # fmt: skip
    alone = bland_altman(scored({0: first[:1]}))
    assert (alone['bias'], alone['low'], alone['high']) == (-2, None, None)


def test_area_of_a_pixel_at_the_duke_scale():
    assert pixel_mm2(['s01_z10', 's10_z35'], 496, 768) == pytest.approx(0.00387 * 0.01133, rel=1e-12)
    assert pixel_mm2(['s01_z10'], 100, 10) * 1000 == pytest.approx(1.91952 * 8.70144)  # the scan's area, in mm
    for names in (['s01_z11'], ['s01_z10', '01_h'], []):
        assert pixel_mm2(names, 256, 256) is None
