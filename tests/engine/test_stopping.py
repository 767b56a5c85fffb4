import os
import random
import shutil
import signal
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from test_resume import assert_same_result, same_training

from octfluid.engine import hooks, stopping
from octfluid.engine.interrupted import find_marks
from octfluid.records.record import read_records
from octfluid.utils.errors import InputError, Interrupted, WorkError
from octfluid.utils.lock import locked


def pths(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


@pytest.fixture
def ask(monkeypatch):
    """Have a signal arrive as soon as a condition on the runner holds."""

    def when(condition, number=signal.SIGTERM):
        monkeypatch.setattr(stopping.StopHook, '_asked', lambda self, runner: number if condition(runner) else 0)

    yield when
    monkeypatch.undo()


def test_a_training_that_is_asked_to_end_writes_a_checkpoint_and_a_mark(run, whole, ask, monkeypatch, tmp_path):
    ask(lambda runner: runner.iter == 3)
    with pytest.raises(Interrupted, match=r'SIGTERM after 4 of 12 iterations; --resume goes on from .*iter_4\.pth') as caught:
        run(tmp_path / 'run')
    assert caught.value.exit_status == 143
    assert pths(tmp_path / 'run') == ['iter_4.pth'] and read_records([tmp_path]) == []
    ((path, mark),) = find_marks([tmp_path])
    assert path == tmp_path / 'run/interrupted.json'
    assert (mark['config'], mark['split'], mark['seed']) == ('configs/smoke/phantom.py', 'heldout', 0)
    assert (mark['signal'], mark['iteration'], mark['iterations'], mark['checkpoint']) == ('SIGTERM', 4, 12, 'iter_4.pth')
    monkeypatch.undo()
    assert_same_result(run(tmp_path / 'run', resume=True), whole[1])
    assert same_training(tmp_path / 'run', whole[0]) and find_marks([tmp_path]) == []


def test_a_training_that_ends_in_its_scoring_has_a_checkpoint_from_before(run, whole, ask, monkeypatch, tmp_path):
    ask(lambda runner: runner.iter == 4, signal.SIGINT)
    with pytest.raises(Interrupted) as caught:
        run(tmp_path / 'run', {'train_cfg.val_interval': 4})
    assert caught.value.exit_status == 130 and pths(tmp_path / 'run') == ['iter_4.pth']
    monkeypatch.undo()
    assert_same_result(run(tmp_path / 'run', {'train_cfg.val_interval': 4}, resume=True), whole[1])


def test_the_best_weights_are_chosen_among_those_that_an_interruption_left_unscored(run, ask, monkeypatch, tmp_path):
    hook = 'default_hooks.checkpoint'
    options = {f'{hook}.save_best': 'aAcc', f'{hook}.rule': 'less', 'train_cfg.val_interval': 4}
    arguments = dict(split='heldout-inner1')
    run(tmp_path / 'whole', options, **arguments)
    best = [path.name for path in (tmp_path / 'whole').glob('best_*')]
    for place in (4, 8):
        ask(lambda runner, place=place: runner.iter == place)
        with pytest.raises(Interrupted):
            run(tmp_path / 'run', options, resume=True, **arguments)
    monkeypatch.undo()
    run(tmp_path / 'run', options, resume=True, **arguments)
    assert [path.name for path in (tmp_path / 'run').glob('best_*')] == best != []


@pytest.fixture
def listening():
    """Python's own handler of SIGINT: a shell lets what it runs in the background ignore it."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def test_a_signal_is_heeded_within_a_training_only_and_insisting_ends_it_at_once(listening):
    stop = stopping.Stop()
    with pytest.raises(Interrupted), stop.on_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    stop.heeded = True
    with stop.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # as a launcher passes it on
        assert stop.number == signal.SIGINT
        stop.asked -= 2
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.fixture
def spoil(monkeypatch):
    """Let a weight become NaN before the step of an iteration, or after it and before anything is written."""

    def when(iteration, method):
        original = getattr(hooks.StepSeedHook, method)

        def spoiled(self, runner, *rest, **named):
            if runner.iter == iteration:
                with torch.no_grad():
                    next(runner.bare_model.parameters()).fill_(float('nan'))
            return original(self, runner, *rest, **named)

        monkeypatch.setattr(hooks.StepSeedHook, method, spoiled)

    return when


def test_a_loss_that_is_no_number_stops_with_the_scans_and_the_last_good_checkpoint(run, spoil, tmp_path, phantoms):
    spoil(7, 'before_train_iter')
    with pytest.raises(WorkError, match='the loss is nan at iteration 8, on ') as caught:
        run(tmp_path / 'run')
    assert f'the last good checkpoint is {tmp_path}/run/iter_6.pth' in str(caught.value)
    assert str(caught.value).count(f'{phantoms}/native/images/s0') == 2, 'a batch has two scans'
    assert pths(tmp_path / 'run') == ['iter_6.pth'] and read_records([tmp_path]) == []


def test_weights_that_are_no_numbers_are_not_written(run, spoil, tmp_path):
    spoil(11, 'after_train_iter')
    with pytest.raises(WorkError, match=r'weight is not finite after iteration 12; the last good checkpoint is .*iter_6\.pth'):
        run(tmp_path / 'run')
    assert pths(tmp_path / 'run') == ['iter_6.pth']


@pytest.fixture
def other_data(phantoms, tmp_path):
    """A copy of the data, and a function that changes a pixel of a training scan of it."""
    shutil.copytree(phantoms, tmp_path / 'data')

    def change():
        name = (tmp_path / 'data/splits/heldout_train.txt').read_text().split()[0]
        path = tmp_path / f'data/native/images/{name}.png'
        pixels = np.array(Image.open(path))
        pixels[0, 0] ^= 1
        Image.fromarray(pixels).save(path)
        return name

    return {'data_root': str(tmp_path / 'data')}, change


def test_a_run_is_not_resumed_on_other_data(run, other_data, tmp_path):
    options, change = other_data
    run(tmp_path / 'run', {**options, 'train_cfg.max_iters': 6})
    name = change()
    with pytest.raises(InputError, match=f'1 of 12 scans are not those of the last run .*the first: train/{name}'):
        run(tmp_path / 'run', options, resume=True)
    (tmp_path / 'run/data.json').unlink()  # the checkpoint knows, too
    with pytest.raises(InputError, match=r'iter_6\.pth: trained on other scans or masks than are there now'):
        run(tmp_path / 'run', options, resume=True)
    assert pths(tmp_path / 'run') == ['iter_6.pth']


def test_a_run_that_begins_anew_on_other_data_says_so(run, other_data, tmp_path):
    options, change = other_data
    options = {**options, 'train_cfg.max_iters': 1}
    for _ in range(2):
        run(tmp_path / 'run', options)
    change()
    run(tmp_path / 'run', options)
    logs = [path.read_text() for path in sorted((tmp_path / 'run').glob('*/*.log'))]
    assert ['are not those of the last run' in log for log in logs] == [False, False, True]


def test_a_run_that_begins_anew_sets_the_checkpoints_of_another_aside(run, whole, ask, monkeypatch, tmp_path):
    """Theirs have more iterations, and would be resumed in place of its own."""
    shutil.copytree(whole[0], folder := tmp_path / 'run')
    (folder / 'best_mDice_iter_8.pth').write_bytes(b'')
    earlier, other = pths(folder), {'optim_wrapper.optimizer.lr': 0.003}
    ask(lambda runner: runner.iter == 3)
    with pytest.raises(Interrupted, match=r'SIGTERM after 4 of 12 iterations; --resume goes on from .*run/iter_4\.pth'):
        run(folder, other)
    assert pths(folder) == ['iter_4.pth'] and pths(folder / 'earlier_1') == earlier
    monkeypatch.undo()
    record = run(folder, other, resume=True)
    assert record['iterations'] == 12 and record['history'] != whole[1]['history']
    assert pths(folder / 'earlier_1') == earlier and not (folder / 'earlier_2').exists()
    run(folder, {'train_cfg.max_iters': 1})
    assert pths(folder) == ['iter_1.pth'] and 'iter_12.pth' in pths(folder / 'earlier_2')


def test_a_work_folder_in_use_is_left_alone(run, tmp_path):
    (tmp_path / 'run').mkdir()
    ready, done = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        with locked(tmp_path / 'run'):
            os.write(ready[1], b'.')
            os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(InputError, match='another process is at work here'):
        run(tmp_path / 'run')
    assert not list((tmp_path / 'run').glob('*.pth')) and (tmp_path / 'run/.lock').exists()
    os.write(done[1], b'.')
    os.waitpid(child, 0)


def test_a_resumed_run_draws_the_same_random_numbers(run, monkeypatch, tmp_path):
    """Python's, NumPy's and torch's in every step; the order of the scans, and what workers have drawn to augment them."""
    drawn = []
    original = hooks.StepSeedHook.before_train_iter

    def note(self, runner, batch_idx, data_batch=None):
        original(self, runner, batch_idx, data_batch)
        names = [sample.name for sample in data_batch['data_samples']]
        pixels = [float(image.float().mean()) for image in data_batch['inputs']]
        drawn.append((runner.iter, random.random(), np.random.rand(), torch.rand(1).item(), names, pixels))

    monkeypatch.setattr(hooks.StepSeedHook, 'before_train_iter', note)
    options = {'train_dataloader.num_workers': 2}
    run(tmp_path / 'whole', options)
    expected = drawn[:]
    drawn.clear()
    for last in (4, 8, None):
        monkeypatch.setattr(stopping.StopHook, '_asked', lambda _, runner, last=last: 15 if runner.iter == last else 0)
        with pytest.raises(Interrupted) if last else nullcontext():
            run(tmp_path / 'run', options, resume=True)
    assert drawn == expected and len({draws[1:4] for draws in expected}) == 12
