import json
import shutil

import pytest
import torch

from octfluid.engine.checkpoint import read_checkpoint
from octfluid.utils.errors import InputError

LAST = 'iter_12.pth'
RECORD = 'train_heldout_scratch_12i_seed0.json'


@pytest.fixture
def copy_of_whole(whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / 'copy')
    (tmp_path / 'copy' / RECORD).unlink()
    return tmp_path / 'copy'


def identical(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(identical(one[key], other[key]) for key in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def same_training(folder, other):
    """Tell whether the last weights and the optimizer's state of two runs are the same, bit for bit."""
    one, two = read_checkpoint(folder / LAST), read_checkpoint(other / LAST)
    return identical(one['state_dict'], two['state_dict']) and identical(one['optimizer']['state'], two['optimizer']['state'])


RESULT = ('metrics', 'images', 'history', 'config_sha256', 'split_sha256', 'iterations', 'seed', 'init')


def assert_same_result(record, expected):
    assert {key: record[key] for key in RESULT} == {key: expected[key] for key in RESULT}


def test_same_seed_gives_the_same_result_with_workers_and_validation_between(run, whole, tmp_path):
    options = {'train_dataloader.num_workers': 2, 'val_dataloader.num_workers': 1, 'train_cfg.val_interval': 4}
    record = run(tmp_path / 'again', options)
    assert_same_result(record, whole[1])
    assert same_training(tmp_path / 'again', whole[0])


def test_other_seed_gives_another_result(run, whole, tmp_path):
    record = run(tmp_path / 'other', seed=1)
    assert record['seed'] == 1
    assert record['history'] != whole[1]['history']
    assert not same_training(tmp_path / 'other', whole[0])


def altered(folder, **entries):
    """Write the last checkpoint of a run anew with other entries; a function makes an entry from the earlier one."""
    content = torch.load(folder / LAST, weights_only=True)
    made = {key: value(content.get(key)) if callable(value) else value for key, value in entries.items()}
    torch.save({key: value for key, value in {**content, **made}.items() if value is not None}, folder / LAST)


@pytest.mark.parametrize('workers', [0, 2])
def test_resume_gives_what_an_uninterrupted_run_gives(run, whole, tmp_path, workers):
    half = run(tmp_path / 'run', {'train_cfg.max_iters': 5})
    assert half['iterations'] == 5
    record = run(tmp_path / 'run', {'train_dataloader.num_workers': workers}, resume=True)
    assert_same_result(record, whole[1])
    assert same_training(tmp_path / 'run', whole[0])
    assert record['wall_seconds'] > half['wall_seconds']


def test_resume_passes_over_a_broken_checkpoint(run, whole, copy_of_whole, caplog):
    content = (copy_of_whole / LAST).read_bytes()
    (copy_of_whole / LAST).write_bytes(content[: len(content) // 2])
    record = run(copy_of_whole, resume=True)
    assert_same_result(record, whole[1])
    assert same_training(copy_of_whole, whole[0])
    logs = ''.join(path.read_text() for path in copy_of_whole.glob('*/*.log'))
    assert 'taking the checkpoint before it' in logs
    assert 'training from iteration 6 to iteration 12' in logs


def test_resume_passes_over_a_checkpoint_that_is_not_as_it_was_written(run, whole, copy_of_whole):
    altered(copy_of_whole, run=lambda told: {key: value for key, value in told.items() if key != 'init'})
    assert_same_result(run(copy_of_whole, resume=True), whole[1])
    assert same_training(copy_of_whole, whole[0])
    logs = ''.join(path.read_text() for path in copy_of_whole.glob('*/*.log'))
    assert 'field run.init is missing; expected an object or null; taking the checkpoint before it' in logs


def without(entry, *place):
    *above, last = place
    for key in above:
        entry = entry[key]
    del entry[last]


@pytest.mark.parametrize(('place', 'said'), [
    (('optimizer',), 'has no optimizer'),
    (('param_schedulers',), 'has no param_schedulers'),
    (('message_hub',), 'has no message_hub'),
    (('message_hub', 'scalars', 'train/loss'), 'has 0 values of train/loss from 12 iterations'),
    (('optimizer', 'param_groups', 0, 'lr'), 'optimizer.param_groups.0 differs in having lr'),
    (('optimizer', 'state', 3, 'exp_avg'), 'optimizer.state.3 differs in having exp_avg'),
    (('param_schedulers', 0), 'param_schedulers is no list of 1'),
    (('param_schedulers', 0, 'last_step'), 'param_schedulers.0 differs in having last_step'),
])  # fmt: skip
def test_what_a_resume_needs_is_missed_and_nothing_begins_anew(run, copy_of_whole, place, said):
    content = torch.load(copy_of_whole / LAST, weights_only=True)
    without(content, *place)
    torch.save(content, copy_of_whole / LAST)
    before = sorted(path.name for path in copy_of_whole.glob('*.pth'))
    with pytest.raises(InputError, match=rf'iter_12\.pth: {said}; expected all that this config saves for a resume'):
        run(copy_of_whole, resume=True)
    assert sorted(path.name for path in copy_of_whole.glob('*.pth')) == before


def test_no_code_in_a_checkpoint_runs_in_a_resume(run, copy_of_whole, tmp_path):
    code = f"open({str(tmp_path / 'trace')!r}, 'w').close()"
    altered(copy_of_whole, meta=lambda told: {**told, 'config': code})
    run(copy_of_whole, resume=True)
    assert not (tmp_path / 'trace').exists()


def test_run_that_was_stopped_before_its_last_validation_is_scored(run, whole, copy_of_whole):
    record = run(copy_of_whole, resume=True)
    assert_same_result(record, whole[1])
    assert record['checkpoint_sha256'] == whole[1]['checkpoint_sha256'], 'it has trained again'


def test_resume_without_a_checkpoint_begins(run, whole, tmp_path):
    assert_same_result(run(tmp_path / 'new', resume=True), whole[1])


@pytest.mark.parametrize(('arguments', 'options', 'said'), [
    (dict(seed=1), {}, 'trained with seed 0, not 1'),
    (dict(split='other'), {}, 'trained with split heldout, not other'),
    (dict(amp=True), {}, 'trained with precision fp32, not bf16'),
    ({}, {'optim_wrapper.optimizer.lr': 0.1}, 'trained with other config settings'),
    ({}, {'train_cfg.max_iters': 7}, 'has 12 iterations, more than train_cfg.max_iters=7'),
])  # fmt: skip
def test_another_run_is_not_resumed(run, copy_of_whole, arguments, options, said):
    with pytest.raises(InputError, match=said) as caught:
        run(copy_of_whole, options, resume=True, **arguments)
    assert LAST in str(caught.value)
    assert not list(copy_of_whole.glob('train_*.json'))


def test_last_iteration_is_scored_whatever_the_interval(run, whole, tmp_path):
    record = run(tmp_path / 'run', {'train_cfg.val_interval': 5, 'default_hooks.checkpoint.interval': 5})
    assert_same_result(record, whole[1])


def test_initial_weights_survive_a_resume(run, weights, tmp_path):
    first = run(tmp_path / 'run', {'train_cfg.max_iters': 1}, init=str(weights))
    weights.unlink()  # a resumed run needs them no more
    record = run(tmp_path / 'run', {'train_cfg.max_iters': 2}, init=str(weights), resume=True)
    assert record['init'] == first['init']


def test_best_weights_of_an_inner_split_outlive_a_resume(run, tmp_path):
    hook = 'default_hooks.checkpoint'
    saving = {f'{hook}.save_best': 'aAcc', f'{hook}.rule': 'greater', 'train_cfg.val_interval': 3}
    for iterations in (6, 12):
        run(tmp_path / 'run', {**saving, 'train_cfg.max_iters': iterations}, split='heldout-inner1', resume=iterations == 12)
    lines = ''.join(path.read_text() for path in (tmp_path / 'run').glob('*/vis_data/scalars.json')).splitlines()
    scores = {entry['step']: entry['aAcc'] for entry in map(json.loads, lines) if 'aAcc' in entry}
    assert sorted(scores) == [3, 6, 9, 12]
    best = max(scores, key=scores.get)
    assert [path.name for path in (tmp_path / 'run').glob('best_*.pth')] == [f'best_aAcc_iter_{best}.pth']
    assert read_checkpoint(tmp_path / 'run' / LAST)['message_hub']['info']['best_score'] == scores[best]


def test_a_resumed_copy_leaves_the_best_weights_of_the_original_alone(run, tmp_path):
    hook = 'default_hooks.checkpoint'
    saving = {f'{hook}.save_best': 'aAcc', f'{hook}.rule': 'greater', 'train_cfg.val_interval': 2}
    run(tmp_path / 'run', {**saving, 'train_cfg.max_iters': 2}, split='heldout-inner1')
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    content = torch.load(tmp_path / 'copy/iter_2.pth', weights_only=True)
    content['message_hub']['info']['best_score'] = -1.0  # so that whatever comes next is better
    torch.save(content, tmp_path / 'copy/iter_2.pth')
    run(tmp_path / 'copy', {**saving, 'train_cfg.max_iters': 4}, split='heldout-inner1', resume=True)
    assert [path.name for path in (tmp_path / 'run').glob('best_*.pth')] == ['best_aAcc_iter_2.pth']
    assert len(list((tmp_path / 'copy').glob('best_*.pth'))) == 1


def test_resume_with_other_initial_weights_is_refused(run, copy_of_whole, weights):
    with pytest.raises(InputError, match=r'trained with init None, not .*weights\.safetensors.*; resume a run as it was begun'):
        run(copy_of_whole, init=str(weights), resume=True)
    assert not list(copy_of_whole.glob('train_*.json'))
