from pathlib import Path

import pytest

from octfluid.datasets.splits import paper_rows
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting.model_scores import SHOWN, scores_of
from octfluid.utils.errors import InputError

SCANS = sorted(row.scan for row in paper_rows())
FOLDS = [f'subject{number:02d}' for number in range(1, 11)]
CONFIG = 'configs/duke_dme/compact.py'


@pytest.fixture
def fold(make_record):
    """Make the run of a fold: each scan has 100 fluid pixels of 1000, of which 40 are found in odd subjects and 60 in even."""

    def make(split, seed=0, **changes):
        images = []
        for scan in SCANS:
            if scan.subject == int(split[-2:]):
                tp = 60 if scan.subject % 2 == 0 else 40
                images.append(dict(name=scan.name, subject=scan.subject, height=20, width=50, tp=tp, fp=100 - tp, fn=100 - tp,
                                   tn=800 + tp, extra={}))  # fmt: skip
        digest = f'{FOLDS.index(split):064x}'
        record = make_record(split=split, seed=seed, images=images, metrics=pooled_metrics(images), config=CONFIG,
                             split_sha256=digest, iterations=900, **changes)  # fmt: skip
        return to_run(Path(f'{split}_{seed}.json'), record)

    return make


@pytest.fixture
def on_all(make_record):
    return to_run(Path('all.json'), make_record(split='all', images=[], metrics=pooled_metrics([]), config=CONFIG))


def test_a_complete_protocol_gives_its_scores_and_what_they_rest_on(fold, on_all):
    (found,) = scores_of([on_all, *(fold(split, seed) for split in FOLDS for seed in (0, 1))])
    measures = found.pop('measures')
    assert found == dict(
        config=CONFIG, protocol='leave-one-subject-out', variant='', iterations=900, images=110, subjects=10, size=[20, 50],
        seeds=2, patients_seen=False,
    )  # fmt: skip
    # Half of the subjects at 40 and half at 60 %: 5500 hits, and as many false and missed pixels; of 110 x 900 of background
    # as many are wrong.
    dice, background = 0.5, 2 * 93500 / (2 * 93500 + 11000)
    iou, background_iou = 5500 / 16500, 93500 / 104500
    expected = dict(dice=dice, mdice=(dice + background) / 2, miou=(iou + background_iou) / 2, image_dice=dice)
    assert {name: measure['value'] for name, measure in measures.items()} == pytest.approx(expected, abs=1e-7)
    assert set(measures) == set(SHOWN)
    for name, measure in measures.items():
        low, high = measure['interval']
        assert low < measure['value'] < high, name
    assert 0.4 <= measures['dice']['interval'][0] < 0.46  # ten patients, of whom some draws have two of one kind at most
    assert 0.54 < measures['dice']['interval'][1] <= 0.6


def test_a_record_twice_counts_once(fold):
    runs, again = ([fold(split) for split in FOLDS] for _ in range(2))
    assert scores_of(runs + again) == scores_of(runs)


@pytest.mark.parametrize('folds', [[], FOLDS[:9], FOLDS[1:]])
def test_without_a_complete_protocol_there_is_no_score(fold, on_all, folds):
    with pytest.raises(InputError, match='no complete protocol among them') as caught:
        scores_of([on_all, *map(fold, folds)])
    assert '\n' not in str(caught.value)


def test_an_incomplete_protocol_beside_a_complete_one_is_left_out(fold):
    complete = [fold(split, variant='tta') for split in FOLDS]
    (found,) = scores_of([*complete, *map(fold, FOLDS[:3])])
    assert found['variant'] == 'tta'


def test_runs_with_overrides_give_no_score(fold):
    with pytest.raises(InputError, match='no complete protocol'):
        scores_of([fold(split, overrides={'optim_wrapper.optimizer.lr': 1.0}) for split in FOLDS])


def test_scores_of_inner_splits_which_served_to_choose_are_none_of_the_model(make_record):
    usual, inner = (to_run(Path(f'{split}.json'), make_record(split=split)) for split in ('paper', 'paper-inner1'))
    assert [found['protocol'] for found in scores_of([usual, inner])] == ['paper']
    with pytest.raises(InputError, match='no complete protocol'):
        scores_of([inner])
