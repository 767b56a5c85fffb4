"""What only the command lines of train.py and test.py show: exit status, what is printed, and that options are handed on."""

import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import read_record

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


@pytest.fixture
def options(tiny_options):
    """The overrides of the tiny network, as they are typed; a list of dicts cannot be."""
    typed = {key: value for key, value in tiny_options.items() if key != 'visualizer.vis_backends'}
    return ['--cfg-options', *(f'{key}={value}'.replace(' ', '') for key, value in typed.items())]


@pytest.fixture
def call(monkeypatch, run_tool):
    monkeypatch.chdir(ROOT)
    return run_tool


def run_process(*arguments):
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_help_comes_at_once_and_shows_an_example(tool):
    done = run_process('-c', HELP_WITHOUT_TORCH, f'tools/{tool}.py')
    assert (done.returncode, done.stderr) == (0, '')
    assert f'example:\n  python tools/{tool}.py configs/' in done.stdout


@pytest.mark.slow
def test_train_then_test_print_the_same_scores_and_nothing_on_stderr(options, tmp_path):
    trained = run_process('tools/train.py', CONFIG, '--work-dir', tmp_path / 'run', '--seed', '3', *options)
    assert (trained.returncode, trained.stderr) == (0, '')
    record = tmp_path / 'run' / 'train_heldout_scratch_12i_seed3.json'
    assert trained.stdout.endswith(f'record: {record}\n')
    tested = run_process('tools/test.py', CONFIG, tmp_path / 'run' / 'iter_12.pth', '--out', tmp_path / 'out',
                         '--show-dir', tmp_path / 'overlays', *options)  # fmt: skip
    assert (tested.returncode, tested.stderr) == (0, '')
    again = tmp_path / 'out' / 'test_heldout_scratch_12i_seed3.json'
    assert tested.stdout.endswith(f'record: {again}\noverlays: {tmp_path / "overlays"}\n')
    first, second = read_record(record), read_record(again)
    assert (second['metrics'], second['images']) == (first['metrics'], first['images'])
    scores = ' '.join(f'{key} {value:.4f}' for key, value in first['metrics'].items())
    assert scores in trained.stdout.splitlines() and scores in tested.stdout.splitlines()
    assert len(list((tmp_path / 'overlays').iterdir())) == len(first['images'])
    assert list((tmp_path / 'run').glob('*/vis_data/events.out.tfevents.*'))


def test_options_reach_train(call, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr('octfluid.engine.run.train', lambda cfg, work_dir, **options: seen.append((cfg, work_dir, options)))
    given = ('--seed', '4', '--init', 'w.pth', '--split', 'other')
    assert call('train', CONFIG, '--amp', 'auto', '--resume', '--deterministic', *given)[0] == 0
    call('train', CONFIG, '--amp', '--cfg-options', f'work_dir={tmp_path}/mine')
    call('train', CONFIG, '--work-dir', 'other', '--cfg-options', f'work_dir={tmp_path}/mine')
    assert [work_dir for _, work_dir, _ in seen] == ['work_dirs/phantom', f'{tmp_path}/mine', 'other']
    assert [options['amp'] for _, _, options in seen] == ['auto', 'on', None]
    assert [(options['resume'], options['deterministic']) for _, _, options in seen] == [(True, True)] + [(False, False)] * 2
    cfg = seen[0][0]
    assert (cfg.randomness.seed, cfg.load_from, cfg.val_dataloader.dataset.ann_file) == (4, 'w.pth', 'splits/other_val.txt')
