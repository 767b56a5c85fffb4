import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from octfluid.metrics.confusion import image_row, pooled_metrics, predict_nothing
from octfluid.utils.errors import InputError

KEYS = ['mIoU', 'mDice', 'aAcc', 'IoU.background', 'IoU.fluid', 'Dice.background', 'Dice.fluid']


def counts(tp, fp, fn, tn):
    return {'tp': tp, 'fp': fp, 'fn': fn, 'tn': tn}


def test_image_row_of_a_hand_computed_2x2_mask():
    row = image_row('s01_z10', 1, np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
    # The two boundaries share one pixel; each has one more, one pixel away from it. Each half of a pocket is shared.
    extra = {'surface_dice_1px': 1.0, 'surface_dice_2px': 1.0, 'hd95_px': pytest.approx(0.95),
             'pockets': {'true': 1, 'found': 1, 'predicted': 1, 'right': 1}}  # fmt: skip
    assert row == {'name': 's01_z10', 'subject': 1, 'height': 2, 'width': 2, 'tp': 1, 'fp': 1, 'fn': 1, 'tn': 1, 'extra': extra}


def test_extra_is_of_the_counted_pixels_only():
    # Where nothing is counted lie a whole predicted pocket, half of a true one, and what would lie within the tolerance.
    truth = np.array([[255, 255, 0, 0, 0, 0, 1, 255]], np.uint8)
    prediction = np.array([[1, 1, 0, 0, 1, 0, 0, 1]], np.uint8)
    row = image_row('a', None, prediction, truth)
    assert row['extra'] == {
        'surface_dice_1px': 0.0, 'surface_dice_2px': 1.0, 'hd95_px': 2.0,
        'pockets': {'true': 1, 'found': 0, 'predicted': 1, 'right': 0}, 'ignored': 3,
    }  # fmt: skip
    assert sum(row[key] for key in ('tp', 'fp', 'fn', 'tn')) + row['extra']['ignored'] == 8


def test_extra_of_empty_masks():
    empty, fluid = np.zeros((3, 3), np.uint8), np.eye(3, dtype=np.uint8)
    none = {'true': 0, 'found': 0, 'predicted': 0, 'right': 0}
    undefined = {'surface_dice_1px': None, 'surface_dice_2px': None, 'hd95_px': None}
    missed = {'surface_dice_1px': 0.0, 'surface_dice_2px': 0.0, 'hd95_px': None}
    assert image_row('a', 1, empty, empty)['extra'] == {**undefined, 'pockets': none}
    assert image_row('a', 1, fluid, empty)['extra'] == {**missed, 'pockets': none | {'predicted': 1}}
    assert image_row('a', 1, empty, fluid)['extra'] == {**missed, 'pockets': none | {'true': 1}}
    everything_ignored = image_row('a', 1, fluid, np.full((3, 3), 255))['extra']
    assert everything_ignored == {**undefined, 'pockets': none, 'ignored': 9}


def test_image_row_leaves_ignored_pixels_out_whatever_is_predicted_there():
    row = image_row('a', None, np.array([[1, 7, 0]], np.uint8), np.array([[255, 255, 1]], np.uint8))
    assert (row['tp'], row['fp'], row['fn'], row['tn']) == (0, 0, 1, 0)
    assert (row['height'], row['width']) == (1, 3)


@pytest.mark.parametrize(
    ('prediction', 'truth', 'message'),
    [
        ([[0, 1]], [[0], [1]], r'a: the prediction has shape \(1, 2\) and the ground truth \(2, 1\)'),
        ([[[0]]], [[[0]]], r'expected the same \(height, width\)'),
        ([[2, 0]], [[0, 0]], 'the prediction holds the value 2; expected only 0 and 1'),
        ([[0, 0]], [[0, 3]], 'the ground truth holds the value 3; expected only 0, 1 and 255'),
    ],
)
def test_image_row_refuses_what_is_not_a_pair_of_masks(prediction, truth, message):
    with pytest.raises(InputError, match=message):
        image_row('a', 1, np.array(prediction), np.array(truth))


def test_pooled_metrics_by_hand():
    # Pooled: tp 3, fp 1, fn 2, tn 10.
    scores = pooled_metrics([counts(1, 1, 0, 6), counts(2, 0, 2, 4)])
    assert list(scores) == KEYS
    assert scores['IoU.fluid'] == pytest.approx(3 / 6)
    assert scores['IoU.background'] == pytest.approx(10 / 13)
    assert scores['Dice.fluid'] == pytest.approx(6 / 9)
    assert scores['Dice.background'] == pytest.approx(20 / 23)
    assert scores['mIoU'] == pytest.approx((1 / 2 + 10 / 13) / 2)
    assert scores['mDice'] == pytest.approx((2 / 3 + 20 / 23) / 2)
    assert scores['aAcc'] == pytest.approx(13 / 16)


def test_undefined_scores_are_none_and_left_out_of_the_means():
    scores = pooled_metrics([counts(0, 0, 0, 4)])
    assert scores['IoU.fluid'] is None
    assert scores['Dice.fluid'] is None
    assert (scores['mIoU'], scores['mDice'], scores['aAcc']) == (1.0, 1.0, 1.0)
    assert set(pooled_metrics([]).values()) == {None}


def test_the_positive_class_takes_its_name_from_the_argument():
    assert 'Dice.vessel' in pooled_metrics([counts(1, 0, 0, 1)], ('background', 'vessel'))


def test_predict_nothing_misses_every_foreground_pixel():
    assert predict_nothing([counts(3, 5, 7, 11)]) == [counts(0, 0, 10, 16)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            arrays(np.uint8, (4, 5), elements=st.integers(0, 1)),
            arrays(np.uint8, (4, 5), elements=st.sampled_from([0, 1, 255])),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_pooled_metrics_equal_those_of_mmseg(pairs):
    torch = pytest.importorskip('torch')
    metric = pytest.importorskip('mmseg.evaluation').IoUMetric
    areas = [metric.intersect_and_union(torch.tensor(prediction), torch.tensor(truth), 2, 255) for prediction, truth in pairs]
    totals = [sum(parts) for parts in zip(*areas, strict=True)]
    oracle = metric.total_area_to_metrics(*totals, metrics=['mIoU', 'mDice'])
    ours = pooled_metrics([image_row(str(index), 1, *pair) for index, pair in enumerate(pairs)])
    expected = {
        'aAcc': oracle['aAcc'],
        'mIoU': np.nanmean(oracle['IoU']) if not np.isnan(oracle['IoU']).all() else np.nan,
        'mDice': np.nanmean(oracle['Dice']) if not np.isnan(oracle['Dice']).all() else np.nan,
    }
    for index, name in enumerate(('background', 'fluid')):
        expected |= {f'IoU.{name}': oracle['IoU'][index], f'Dice.{name}': oracle['Dice'][index]}
    assert set(ours) == set(expected)
    for key, value in expected.items():
        assert (np.nan if ours[key] is None else ours[key]) == pytest.approx(float(value), abs=1e-6, nan_ok=True), key


def test_background_only_on_the_papers_validation_images():
    folder = os.environ.get('OCTFLUID_SHARED_DATA')
    if not folder:
        pytest.skip('OCTFLUID_SHARED_DATA is not set: it names the folder with duke_dme/paper_256')
    image = pytest.importorskip('PIL.Image')
    root = Path(folder) / 'duke_dme' / 'paper_256'
    names = [line for line in (root / 'splits' / 'val.txt').read_text().split() if line]
    rows = []
    for name in names:
        truth = np.asarray(image.open(next(root.glob(f'annotations/**/{Path(name).stem}.png'))))
        rows.append(image_row(name, None, np.zeros_like(truth), truth))
    scores = pooled_metrics(rows)
    assert len(rows) == 22
    assert (round(scores['mIoU'], 4), round(scores['mDice'], 4)) == (0.4963, 0.4981)
