import errno
import importlib.util
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import pytest
from yapf.yapflib import yapf_api

from octfluid.records import record as records
from octfluid.records.record import read_record
from octfluid.utils.cli import exit_status_of

ROOT = Path(__file__).resolve().parents[2]
CONFIG = 'configs/smoke/phantom.py'
HELP_WITHOUT_TORCH = """
import runpy, sys
sys.argv = [sys.argv[1], '--help']
try:
    runpy.run_path(sys.argv[0], run_name='__main__')
except SystemExit as stop:
    heavy = {'torch', 'mmengine', 'mmseg', 'numpy'} & set(sys.modules)
    sys.exit(f'imported {heavy}' if heavy else stop.code)
"""


def as_arguments(options):
    """Write overrides as they are typed."""
    return ['--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in options.items())]


@pytest.fixture
def options(tiny_options):
    # A list of dicts cannot be typed; and the tool should be run as it is, with TensorBoard.
    return {key: value for key, value in tiny_options.items() if key != 'visualizer.vis_backends'}


@pytest.fixture
def call(monkeypatch, capfd):
    """Run a tool's main in this process; returns its status, stdout, and the lines of stderr."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(threading, 'excepthook', threading.excepthook)
    monkeypatch.setattr(yapf_api, 'FormatCode', lambda text, **_: (text, True))

    def run(tool, *arguments):
        spec = importlib.util.spec_from_file_location(f'{tool}_tool', ROOT / 'tools' / f'{tool}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        capfd.readouterr()
        try:
            status = exit_status_of(module.main)
        except SystemExit as stop:
            status = stop.code
        captured = capfd.readouterr()
        return status, captured.out, captured.err.splitlines()

    return run


def run_process(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def leftovers(folder):
    return [path.name for path in Path(folder).rglob('*') if path.name.startswith('.tmp')]


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_help_comes_at_once_and_shows_an_example(tool):
    done = run_process('-c', HELP_WITHOUT_TORCH, f'tools/{tool}.py')
    assert (done.returncode, done.stderr) == (0, '')
    assert f'example:\n  python tools/{tool}.py configs/' in done.stdout


def test_train_then_test_gives_the_same_scores_and_overlays(options, tmp_path):
    trained = run_process('tools/train.py', CONFIG, '--work-dir', tmp_path / 'run', '--seed', '3', *as_arguments(options))
    assert (trained.returncode, trained.stderr) == (0, '')
    record = tmp_path / 'run' / 'train_heldout_scratch_12i_seed3.json'
    assert trained.stdout.endswith(f'record: {record}\n')
    tested = run_process('tools/test.py', CONFIG, tmp_path / 'run' / 'iter_12.pth', '--out', tmp_path / 'out',
                         '--show-dir', tmp_path / 'overlays', *as_arguments(options))  # fmt: skip
    assert (tested.returncode, tested.stderr) == (0, '')
    again = tmp_path / 'out' / 'test_heldout_scratch_12i_seed3.json'
    assert f'record: {again}\noverlays: {tmp_path / "overlays"}\n' in tested.stdout
    first, second = read_record(record), read_record(again)
    assert (second['metrics'], second['images']) == (first['metrics'], first['images'])
    scores = ' '.join(f'{key} {value:.4f}' for key, value in first['metrics'].items())
    assert scores in trained.stdout.splitlines()
    assert scores in tested.stdout.splitlines()
    pictures = sorted((tmp_path / 'overlays').iterdir())
    assert [path.name for path in pictures] == [f'{row["name"]}.png' for row in first['images']]
    assert all(cv2.imread(str(path)).shape[1] >= 64 for path in pictures)
    assert list((tmp_path / 'run').glob('*/vis_data/events.out.tfevents.*'))
    assert first['overrides'].keys() == options.keys() - {'data_root'}


def test_warnings_of_libraries_do_not_reach_the_user(options, tmp_path):
    done = run_process('tools/train.py', CONFIG, '--work-dir', tmp_path / 'run', '--split', 'heldot', *as_arguments(options))
    assert done.returncode == 2
    assert done.stdout == ''
    assert len(done.stderr.splitlines()) == 1
    assert "unknown split 'heldot'; did you mean 'heldout'?" in done.stderr


@pytest.mark.parametrize(('changes', 'arguments', 'said'), [
    ({'train_cfg.max_iter': 5}, [], "unknown key 'max_iter'; did you mean 'max_iters'"),
    ({'train_dataloadr': 5}, [], "unknown key 'train_dataloadr'; did you mean 'train_dataloader'"),
    ({'data_root': 'nowhere'}, [], 'nowhere: no such data set'),
    ({}, ['--init', 'nowhere.pth'], '--init none'),
    ({}, ['--seed', 'x'], "argument --seed: x: expected a whole number from 0"),
    ({}, ['--speed', '9'], 'unrecognized arguments: --speed'),
    ({'optim_wrapper.optimizer.type': 'SGDD'}, [], "no optimizer 'SGDD'"),
])  # fmt: skip
def test_bad_input_is_one_line_with_status_2(call, options, tmp_path, changes, arguments, said):
    status, out, err = call('train', CONFIG, '--work-dir', tmp_path / 'run', *arguments, *as_arguments({**options, **changes}))
    assert (status, out, len(err)) == (2, '', 1)
    assert err[0].startswith('error: ')
    assert said in err[0]
    assert not list(tmp_path.rglob('*.json'))


def test_missing_config_and_checkpoint(call, options, tmp_path):
    status, _, err = call('train', 'configs/nowhere.py')
    assert (status, len(err)) == (2, 1)
    assert 'no config file at configs/nowhere.py' in err[0]
    status, _, err = call('test', CONFIG, 'nowhere.pth', '--out', tmp_path / 'out', *as_arguments(options))
    assert (status, len(err)) == (2, 1)
    assert 'no checkpoint at nowhere.pth' in err[0]
    assert not (tmp_path / 'out').exists()


@pytest.fixture
def half_done(call, options, tmp_path):
    """A run of 6 iterations, and what its folder holds."""
    status, *_ = call('train', CONFIG, '--work-dir', tmp_path / 'run', *as_arguments({**options, 'train_cfg.max_iters': 6}))
    assert status == 0
    return {path: path.read_bytes() for path in (tmp_path / 'run').glob('*') if path.suffix in ('.pth', '.json')}


def assert_failed_cleanly(result, folder, before):
    status, _, err = result
    assert (status, len(err)) == (1, 1), err
    assert 'files written before this are intact' in err[0]
    assert {path: path.read_bytes() for path in before} == before
    assert not leftovers(folder)


def test_checkpoint_of_another_architecture(call, options, tmp_path, half_done):
    arguments = ['--out', tmp_path / 'out', *as_arguments({**options, 'model.decode_head.channels': 6})]
    status, out, err = call('test', CONFIG, tmp_path / 'run' / 'iter_6.pth', *arguments)
    assert (status, out, len(err)) == (2, '', 1)
    assert 'iter_6.pth: made for another architecture' in err[0]
    assert not (tmp_path / 'out').exists() or not list((tmp_path / 'out').glob('*.json'))


def test_file_system_that_takes_no_further_checkpoint(call, options, tmp_path, half_done):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        result = call('train', CONFIG, '--resume', '--work-dir', tmp_path / 'run', *as_arguments(options))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_failed_cleanly(result, tmp_path / 'run', half_done)
    assert os.strerror(errno.EFBIG) in result[2][0]
    assert not (tmp_path / 'run' / 'iter_12.pth').exists()


def test_disk_that_is_full_when_the_record_is_written(call, options, tmp_path, half_done, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    arguments = ('train', CONFIG, '--resume', '--work-dir', tmp_path / 'run', *as_arguments(options))
    with monkeypatch.context() as patch:
        patch.setattr(records, 'write_text', full)
        assert_failed_cleanly(call(*arguments), tmp_path / 'run', half_done)
    assert (tmp_path / 'run' / 'iter_12.pth').is_file()
    assert call(*arguments)[0] == 0
    assert read_record(tmp_path / 'run' / 'train_heldout_scratch_12i_seed0.json')['iterations'] == 12


def test_work_folder_of_the_config_and_of_its_name(call, options, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('octfluid.engine.training.train', lambda cfg, request: seen.append(request) or sys.exit(0))
    call('train', CONFIG, '--amp', '--resume', '--deterministic')
    call('train', CONFIG, '--cfg-options', f'work_dir={tmp_path}/mine')
    call('train', CONFIG, '--work-dir', 'other', '--cfg-options', f'work_dir={tmp_path}/mine')
    assert [request.work_dir for request in seen] == ['work_dirs/phantom', f'{tmp_path}/mine', 'other']
    assert [(request.amp, request.resume, request.deterministic) for request in seen] == [(True,) * 3] + [(False,) * 3] * 2


def test_testing_hands_on_mixed_precision(call, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('octfluid.engine.training.test', lambda cfg, request, *_: seen.append(request.amp) or sys.exit(0))
    for arguments in ([], ['--amp']):
        call('test', CONFIG, 'weights.pth', '--out', tmp_path / 'out', *arguments)
    assert seen == [False, True]
