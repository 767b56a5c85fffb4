import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from octfluid.metrics.confusion import image_row, pooled_metrics
from octfluid.metrics.measures import FEATURES, MEASURES, by_feature, subject_features
from octfluid.reporting.same_images import scored

SIDE = 8
NAMES = [
    'dice', 'iou', 'mdice', 'miou', 'precision', 'recall',
    'image_dice', 'subject_dice',
    'false_positive_rate', 'false_positive_px',
    'surface_dice_1px', 'surface_dice_2px', 'hd95_px',
    'pocket_sensitivity', 'pocket_precision',
    'area_bias_px', 'area_limit_low_px', 'area_limit_high_px', 'area_correlation',
]  # fmt: skip


def row(name, subject, tp, fp, fn, tn, **extra):
    return dict(name=name, subject=subject, height=10, width=10, tp=tp, fp=fp, fn=fn, tn=tn, extra=extra)


def masks(surface, distance, *pockets):
    return dict(
        surface_dice_1px=surface,
        surface_dice_2px=surface,
        hd95_px=distance,
        pockets=dict(zip(('true', 'found', 'predicted', 'right'), pockets, strict=True)),
    )


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


def test_every_measure_by_hand():
    # Pooled: tp 16, fp 6, fn 10, tn 468. Areas: true 8 8 0 0 10, predicted 8 0 4 0 10; differences 0 -8 4 0 0.
    sd = ((0.8**2 * 3 + 7.2**2 + 4.8**2) / 4) ** 0.5
    assert single(IMAGES) == pytest.approx(
        {
            'dice': 32 / 48,
            'iou': 16 / 32,
            'mdice': (32 / 48 + 936 / 952) / 2,
            'miou': (16 / 32 + 468 / 484) / 2,
            'precision': 16 / 22,
            'recall': 16 / 26,
            'image_dice': (12 / 16 + 0 + 1) / 3,
            'subject_dice': (12 / 24 + 0 + 1) / 3,
            'false_positive_rate': 1 / 2,
            'false_positive_px': 2.0,
            'surface_dice_1px': (0.5 + 0 + 1) / 3,
            'surface_dice_2px': (0.5 + 0 + 1) / 3,
            'hd95_px': 1.5,
            'pocket_sensitivity': 2 / 4,
            'pocket_precision': 3 / 6,
            'area_bias_px': -0.8,
            'area_limit_low_px': -0.8 - 1.96 * sd,
            'area_limit_high_px': -0.8 + 1.96 * sd,
            'area_correlation': stats.pearsonr([8, 8, 0, 0, 10], [8, 0, 4, 0, 10]).statistic,
        }
    )


def test_the_names_and_their_order_on_pages():
    assert list(MEASURES) == NAMES
    assert all(name == measure.name for name, measure in MEASURES.items())
    assert {measure.images for measure in MEASURES.values()} <= set(FEATURES)
    assert all(
        measure.unit in ('%', 'px', '') and measure.better in ('higher', 'lower', 'zero') and measure.title
        for measure in MEASURES.values()
    )


def test_each_seed_is_measured_on_its_own():
    other = [{**image, 'tp': image['tp'] + image['fn'], 'fn': 0} for image in IMAGES]
    values = measured(IMAGES, other)['recall']
    assert values.tolist() == [pytest.approx(16 / 26), 1]


def test_nothing_true_and_nothing_predicted_scores_nothing():
    values = single([row('a', 1, 0, 0, 0, 100, **masks(None, None, 0, 0, 0, 0))])
    defined = {name: value for name, value in values.items() if not np.isnan(value)}
    # The background's score alone, no marked image, no difference in area.
    assert defined == {'mdice': 1, 'miou': 1, 'false_positive_rate': 0, 'false_positive_px': 0, 'area_bias_px': 0}


def test_an_image_that_lacks_what_was_measured_on_masks_leaves_only_those_measures_undefined():
    from_masks = {'surface_dice_1px', 'surface_dice_2px', 'hd95_px', 'pocket_sensitivity', 'pocket_precision'}
    for index in range(len(IMAGES)):
        images = [{**image, 'extra': {}} if place == index else image for place, image in enumerate(IMAGES)]
        values = single(images)
        assert {name for name, value in values.items() if np.isnan(value)} == from_masks
        assert {name: values[name] for name in values if name not in from_masks} == {
            name: value for name, value in single(IMAGES).items() if name not in from_masks
        }


def test_an_unknown_patient_leaves_the_mean_over_subjects_undefined():
    values = single([{**IMAGES[0], 'subject': None}, *IMAGES[1:]])
    assert {name for name, value in values.items() if np.isnan(value)} == {'subject_dice'}


def test_pooled_measures_are_those_of_run_records():
    rng = np.random.default_rng(1)
    for _ in range(50):
        images = [row(str(index), index % 2, *map(int, rng.integers(0, 3, 4))) for index in range(4)]
        ours, recorded = single(images), pooled_metrics(images)
        for name, key in (('dice', 'Dice.fluid'), ('iou', 'IoU.fluid'), ('mdice', 'mDice'), ('miou', 'mIoU')):
            assert ours[name] == pytest.approx(np.nan if recorded[key] is None else recorded[key], nan_ok=True), name


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
    """Return predictions and truths, (2, 200, 3, SIDE, SIDE), many images and some groups without fluid."""
    rng = np.random.default_rng(2)
    shares = rng.choice([0, 0.02, 0.3, 0.9], (2, 200, 3, 1, 1))
    return (rng.random((2, 200, 3, SIDE, SIDE)) < shares).astype(np.uint8)


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
    if len(found) == 200:
        # All of these cases occur, and in none of the measures is every group undefined.
        assert all(np.isfinite(values).any() for values in expected.values())
        assert all(np.isnan(expected[name]).any() for name in ('precision', 'recall', 'image_dice', 'false_positive_px'))


def test_measures_from_masks_are_means_of_what_the_records_hold():
    rng = np.random.default_rng(3)
    for _ in range(200):
        images = []
        for index, (true, predicted) in enumerate(rng.integers(0, 2, (4, 2))):
            surface = float(rng.random()) if true and predicted else None if true == predicted else 0.0
            distance = float(rng.integers(0, 9)) if true and predicted else None
            pockets = rng.integers(0, 4, 4)
            counts = (int(true and predicted), int(predicted), int(true), 9)
            images.append(row(str(index), 1, *counts, **masks(surface, distance, *map(int, pockets))))
        ours = single(images)
        surfaces = [image['extra']['surface_dice_1px'] for image in images if image['fn']]
        distances = [image['extra']['hd95_px'] for image in images if image['extra']['hd95_px'] is not None]
        assert ours['surface_dice_1px'] == pytest.approx(np.mean(surfaces) if surfaces else np.nan, nan_ok=True)
        assert ours['surface_dice_2px'] == pytest.approx(np.mean(surfaces) if surfaces else np.nan, nan_ok=True)
        assert ours['hd95_px'] == pytest.approx(np.mean(distances) if distances else np.nan, nan_ok=True)
        true, found, predicted, right = (
            sum(image['extra']['pockets'][key] for image in images) for key in ('true', 'found', 'predicted', 'right')
        )
        assert ours['pocket_sensitivity'] == pytest.approx(found / true if true else np.nan, nan_ok=True)
        assert ours['pocket_precision'] == pytest.approx(right / predicted if predicted else np.nan, nan_ok=True)
