import numpy as np
import pytest

from octfluid.metrics.confusion import COUNTS, image_row, pooled_metrics, predict_nothing
from octfluid.utils.errors import InputError

KEYS = ['mIoU', 'mDice', 'aAcc', 'IoU.background', 'IoU.fluid', 'Dice.background', 'Dice.fluid']
RETOUCH = ('background', 'IRF', 'SRF')


def counts(tp, fp, fn, tn):
    return {'tp': tp, 'fp': fp, 'fn': fn, 'tn': tn}


def test_image_row_of_a_hand_computed_2x2_mask():
    row = image_row('s01_z10', 1, np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
    # The two boundaries share one pixel; each has one more, one pixel away from it. Each half of a pocket is shared.
    extra = {'surface_dice_1px': 1.0, 'surface_dice_2px': 1.0, 'hd95_px': pytest.approx(0.95),
             'pockets': {'true': 1, 'found': 1, 'predicted': 1, 'right': 1}}  # fmt: skip
    assert row == {'name': 's01_z10', 'subject': 1, 'height': 2, 'width': 2, **counts(1, 1, 1, 1), 'extra': extra}


def test_image_row_of_a_hand_computed_mask_of_three_classes():
    # IRF right, IRF taken for SRF, SRF right, SRF missed, background marked IRF, background right, ignored.
    truth, prediction = np.array([[1, 1, 2, 2, 0, 0, 255]]), np.array([[1, 2, 2, 0, 1, 0, 2]])
    row = image_row('a', None, prediction, truth, classes=RETOUCH)
    assert {key: row[key] for key in COUNTS} == counts(3, 1, 1, 1)  # fluid of any kind
    assert row['classes'] == {'background': counts(1, 1, 1, 3), 'IRF': counts(1, 1, 1, 3), 'SRF': counts(1, 1, 1, 3)}
    assert row['extra']['ignored'] == 1
    scores = pooled_metrics([row], RETOUCH)
    assert list(scores)[:5] == ['mIoU', 'mDice', 'aAcc', 'IoU.background', 'IoU.IRF'] and len(scores) == 9
    assert scores['aAcc'] == 3 / 6
    assert scores['mIoU'] == pytest.approx(1 / 3) and scores['Dice.SRF'] == 0.5
    nothing = predict_nothing([row])[0]
    assert nothing == counts(0, 0, 4, 2) | {
        'classes': {'background': counts(2, 4, 0, 0), 'IRF': counts(0, 0, 2, 4), 'SRF': counts(0, 0, 2, 4)}}  # fmt: skip


def test_extra_is_of_the_counted_pixels_only():
    # Where nothing is counted lie a whole predicted pocket, half of a true one, and what would lie within the tolerance.
    truth = np.array([[255, 255, 0, 0, 0, 0, 1, 255]], np.uint8)
    prediction = np.array([[1, 7, 0, 0, 1, 0, 0, 1]], np.uint8)
    row = image_row('a', None, prediction, truth)
    assert row['extra'] == {
        'surface_dice_1px': 0.0, 'surface_dice_2px': 1.0, 'hd95_px': 2.0,
        'pockets': {'true': 1, 'found': 0, 'predicted': 1, 'right': 0}, 'ignored': 3,
    }  # fmt: skip
    assert {key: row[key] for key in COUNTS} == counts(0, 1, 1, 3)


def test_extra_of_empty_masks():
    empty, fluid = np.zeros((3, 3), np.uint8), np.eye(3, dtype=np.uint8)
    keys, none = ('surface_dice_1px', 'surface_dice_2px', 'hd95_px'), {'true': 0, 'found': 0, 'predicted': 0, 'right': 0}
    missed = {'surface_dice_1px': 0.0, 'surface_dice_2px': 0.0, 'hd95_px': None}
    assert image_row('a', 1, empty, empty)['extra'] == {**dict.fromkeys(keys), 'pockets': none}
    assert image_row('a', 1, fluid, empty)['extra'] == {**missed, 'pockets': none | {'predicted': 1}}
    assert image_row('a', 1, empty, fluid)['extra'] == {**missed, 'pockets': none | {'true': 1}}


@pytest.mark.parametrize(('prediction', 'truth'), [([[0, 1]], [[0], [1]]), ([[2, 0]], [[0, 0]]), ([[0, 0]], [[0, 3]])])
def test_image_row_refuses_what_is_not_a_pair_of_masks(prediction, truth):
    with pytest.raises(InputError, match='^a: '):
        image_row('a', 1, np.array(prediction), np.array(truth))


def test_pooled_metrics_by_hand():
    # Pooled: tp 3, fp 1, fn 2, tn 10.
    scores = pooled_metrics([counts(1, 1, 0, 6), counts(2, 0, 2, 4)])
    expected = [(1 / 2 + 10 / 13) / 2, (2 / 3 + 20 / 23) / 2, 13 / 16, 10 / 13, 3 / 6, 20 / 23, 6 / 9]
    assert scores == pytest.approx(dict(zip(KEYS, expected, strict=True)))
    assert 'Dice.vessel' in pooled_metrics([counts(1, 0, 0, 1)], ('background', 'vessel'))


def test_undefined_scores_are_none_and_left_out_of_the_means():
    scores = pooled_metrics([counts(0, 0, 0, 4)])
    assert (scores['IoU.fluid'], scores['Dice.fluid']) == (None, None)
    assert (scores['mIoU'], scores['mDice'], scores['aAcc']) == (1.0, 1.0, 1.0)
    assert set(pooled_metrics([]).values()) == {None}
