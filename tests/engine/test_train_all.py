"""Trainings on all scans there are, which leave none to score."""

from pathlib import Path

import pytest
import torch

from octfluid.engine.checkpoint import read_checkpoint
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import file_sha256, split_sha256, to_run, validate_record
from octfluid.reporting.report import scored
from octfluid.utils.errors import InputError

LAST = 'iter_12.pth'
RECORD = 'train_all_scratch_12i_seed0.json'


@pytest.fixture(scope='module')
def unscored(run, tmp_path_factory):
    """A run of 12 iterations on all scans: its folder and its record."""
    folder = tmp_path_factory.mktemp('all')
    return folder, run(folder, split='all')


def test_the_record_tells_the_training_and_no_score(unscored):
    folder, record = unscored
    assert (folder / RECORD).is_file()
    assert (record['kind'], record['split'], record['iterations'], record['images']) == ('train', 'all', 12, [])
    assert set(record['metrics']) >= {'mIoU', 'mDice', 'Dice.fluid', 'IoU.background'}
    assert set(record['metrics'].values()) == {None}
    assert record['checkpoint_sha256'] == file_sha256(folder / LAST)
    assert record['split_sha256'] == split_sha256([])
    assert [point['iteration'] for point in record['history']] == [10, 12]
    assert not list(folder.glob('*.png'))
    log = next(folder.glob('*/*.log')).read_text()
    assert 'train: 12 scans of 3 subjects' in log
    assert 'scoring  nothing: no scan is left to score' in log


def test_all_scans_train_another_network_than_a_part_of_them(unscored, whole):
    one, two = (read_checkpoint(folder / LAST)['state_dict'] for folder, _ in (unscored, whole))
    assert not all(torch.equal(one[name], two[name]) for name in one)


def test_a_resumed_run_ends_with_the_same_weights(unscored, run, tmp_path):
    run(tmp_path, {'train_cfg.max_iters': 5}, split='all')
    record = run(tmp_path, split='all', resume=True)
    assert (record['images'], record['history']) == ([], unscored[1]['history'])
    one, two = (read_checkpoint(folder / LAST)['state_dict'] for folder in (unscored[0], tmp_path))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_testing_on_all_scans_scores_each_of_them(unscored, score, tmp_path):
    record = score(unscored[0] / LAST, tmp_path, split='all')
    assert [row['name'] for row in record['images']] == [f's{subject:02d}_z{z:02d}' for subject in (1, 2, 3) for z in range(4)]
    assert (record['kind'], record['split'], record['variant']) == ('test', 'all', 'trained-on-all')


def test_only_a_training_on_all_scans_may_have_no_images(make_record):
    empty = dict(images=[], metrics=pooled_metrics([]))
    validate_record(make_record(split='all', **empty), 'here')
    for kind, split in (('test', 'all'), ('train', 'paper'), ('test', 'paper'), ('train', 'all-inner1')):
        with pytest.raises(InputError, match=r'field images is .*expected at least one image'):
            validate_record(make_record(kind=kind, split=split, **empty), 'here')


def test_a_score_without_images_is_refused(make_record):
    claimed = {**pooled_metrics([]), 'Dice.fluid': 0.9}
    with pytest.raises(InputError, match=r'metrics\.Dice\.fluid is 0\.9; expected null'):
        validate_record(make_record(split='all', images=[], metrics=claimed), 'here')


def test_the_report_leaves_it_out(make_record):
    runs = [
        to_run(Path(f'{index}.json'), record)
        for index, record in enumerate((make_record(), make_record(split='all', images=[], metrics=pooled_metrics([]))))
    ]
    assert scored(runs) == runs[:1]
