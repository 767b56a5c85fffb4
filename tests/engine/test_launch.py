import time
from pathlib import Path

import pytest

from octfluid.datasets.prepare.phantom import write_phantom_dataset
from octfluid.engine.launch import measure_launch, seconds_of_help, seconds_to_train
from octfluid.utils.errors import WorkError

ROOT = Path(__file__).resolve().parents[2]
LINE = 'Iter(train) [1/9]  lr: 1.0e-04  time: 30.5  data_time: 30.25  loss: 1'


def tool(folder, text, name='train.py'):
    path = folder / name
    path.write_text('import sys, time\n' + text)
    return path


def test_a_first_iteration_is_taken_off_and_the_process_ended(tmp_path):
    begun = time.perf_counter()
    path = tool(tmp_path, f'print("hello", flush=True)\ntime.sleep(1)\nprint("{LINE}", flush=True)\ntime.sleep(60)\n')
    seconds = seconds_to_train(path, 'c.py', [])
    whole = time.perf_counter() - begun
    assert whole < 30
    assert 0.75 <= seconds <= whole - 0.25 + 0.01


@pytest.mark.parametrize(('text', 'said'), [('sys.exit("error: no data")\n', 'error: no data'), ('', 'without a word')])
def test_a_training_that_ends_before_is_one_line(tmp_path, text, said):
    with pytest.raises(WorkError, match=rf'train\.py c\.py: it ended before its first iteration, {said}'):
        seconds_to_train(tool(tmp_path, text), 'c.py', [])


def test_help_that_fails_is_one_line(tmp_path):
    with pytest.raises(WorkError, match=r'other\.py --help: exit status 1, broken'):
        seconds_of_help(tool(tmp_path, 'sys.exit("broken")\n', 'other.py'))


def test_starts_of_all_tools_by_command(tmp_path):
    tool(tmp_path, f'print("{LINE}" if len(sys.argv) > 2 else "usage")\n')
    tool(tmp_path, '', 'other.py')
    steps = []
    found = measure_launch(tmp_path, 'c.py', [], 2, lambda *step: steps.append(step))
    assert list(found) == ['other.py --help', 'train.py --help', 'train.py c.py']
    assert {len(seconds) for seconds in found.values()} == {2}
    assert steps[0] == (1, 9) and steps[-1] == (9, 9)


def test_what_train_prints_is_understood(tmp_path):
    write_phantom_dataset(tmp_path / 'phantom', subjects=3, slices=3, height=64, width=64)
    options = [
        f'data_root={tmp_path / "phantom"}', 'train_dataloader.dataset.scan_size=(64,64)',
        'val_dataloader.dataset.scan_size=(64,64)', 'train_dataloader.dataset.pipeline.2.crop_size=(48,48)',
    ]  # fmt: skip
    assert 0 < seconds_to_train(ROOT / 'tools/train.py', str(ROOT / 'configs/smoke/phantom.py'), options) < 120
