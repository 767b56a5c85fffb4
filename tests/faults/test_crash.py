"""A tool that is killed leaves no half-written file, and the same command then gives the result of an undisturbed one."""

import fnmatch
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom

torch = pytest.importorskip('torch')
pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TIMES = ('wall_seconds', 'images_per_second', 'peak_memory_bytes', 'checkpoint_sha256', 'seconds', 'git')
"""Keys of JSON files that two equal calls need not share: times, the digest of a checkpoint, which holds times, the commit."""


def start(command, log):
    """Start a tool in a process group of its own."""
    command = [sys.executable, *map(str, command)]
    with open(log, 'w') as output:
        return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)


def finish(command, log):
    status = start(command, log).wait(300)
    assert status == 0, log.read_text()[-2000:]


def kill(command, log, at_work):
    """Kill a tool and its workers as soon as `at_work()` is true; return its exit status."""
    process, end = start(command, log), time.monotonic() + 300
    while not at_work() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    assert process.poll() is None, f'ended before it was killed: {log.read_text()[-2000:]}'
    os.killpg(process.pid, signal.SIGKILL)
    return process.wait(60)


def require_whole(folder):
    """Read every file of `folder` but temporary ones, whose names begin with a dot, to its end."""
    read = {
        '.pth': lambda path: torch.load(path, weights_only=True)['state_dict'],
        '.png': lambda path: Image.open(path).load(),
        '.gz': lambda path: gzip.decompress(path.read_bytes()),
        '.csv': lambda path: np.genfromtxt(path, str, delimiter=','),  # fails where a line has another number of columns
    }
    for path in sorted(folder.rglob('*')):
        if path.suffix in read and not any(part.startswith('.') for part in path.relative_to(folder).parts):
            read[path.suffix](path)


def contents(folder):
    """Return the content of every file of `folder` but temporary ones, by its name, without times."""
    found = {}
    for path in folder.rglob('*'):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or path.name.startswith('.'):
            continue
        if path.suffix == '.json':
            content = json.loads(path.read_text())
            found[name] = {k: v for k, v in content.items() if k not in TIMES} if isinstance(content, dict) else content
        else:
            found[name] = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    return found


def names(folder, pattern):
    """Return the names of files and folders at any depth; unlike `rglob`, while folders come and go."""
    return sorted(name for _, folders, files in os.walk(folder) for name in fnmatch.filter(folders + files, pattern))


def test_training(tmp_path, tiny_options):
    run, whole, log = tmp_path / 'run', tmp_path / 'whole', tmp_path / 'log'
    options = tiny_options | {
        'train_dataloader.num_workers': 2, 'train_cfg.max_iters': 15, 'train_cfg.val_interval': 15,
        'default_hooks.checkpoint.interval': 3,
    }  # fmt: skip
    given = [f'{key}={value}'.replace(' ', '') for key, value in options.items() if key != 'visualizer.vis_backends']
    command = ['tools/train.py', 'configs/smoke/phantom.py', '--init', 'none', '--resume', '--cfg-options', *given]
    command.append('--work-dir')
    finish([*command, whole], log)
    assert kill([*command, run], log, lambda: names(run, 'iter_*.pth')) == -signal.SIGKILL
    assert not names(run, 'train_*.json'), 'a record of what is not finished'
    require_whole(run)
    finish([*command, run], log)
    one, other = (torch.load(folder / 'iter_15.pth', weights_only=True) for folder in (run, whole))
    assert all(torch.equal(one['state_dict'][key], other['state_dict'][key]) for key in one['state_dict'])
    assert str(one['optimizer']) == str(other['optimizer'])
    (record,), (expected,) = ([json.loads(path.read_text()) for path in folder.glob('train_*.json')] for folder in (run, whole))
    assert {k: v for k, v in record.items() if k not in TIMES} == {k: v for k, v in expected.items() if k not in TIMES}


def test_prediction(tmp_path):
    frames = [make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(4)]
    inputs = [tmp_path / f'b{place}.png' for place in range(4)]
    for frame, path in zip(frames, inputs, strict=True):
        Image.fromarray(frame).save(path)
    savemat(tmp_path / 'v.mat', {'images': np.stack(frames * 5, axis=2)})
    out, log = tmp_path / 'out', tmp_path / 'log'
    command = ['tools/predict.py', *inputs, tmp_path / 'v.mat', '--save-prob', '--out']
    finish([*command, tmp_path / 'whole'], log)
    assert kill([*command, out], log, lambda: len(names(out, '*_mask.png')) >= 2) == -signal.SIGKILL
    require_whole(out)
    assert not (out / 'manifest.json').exists()
    finish([*command, out], log)
    assert contents(out) == contents(tmp_path / 'whole') and names(out, '.*') == names(tmp_path / 'whole', '.*')
