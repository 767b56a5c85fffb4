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


def checkpoint(path):
    content = torch.load(path, weights_only=True)
    return {key: tensor.tolist() for key, tensor in content['state_dict'].items()}, str(content['optimizer'])


def without_times(path):
    content = json.loads(path.read_text())
    return {key: value for key, value in content.items() if key not in TIMES} if isinstance(content, dict) else content


READ = {
    '.pth': checkpoint, '.json': without_times, '.gz': lambda path: gzip.decompress(path.read_bytes()),
    '.png': lambda path: np.asarray(Image.open(path)).tobytes(),
}  # fmt: skip


def contents(folder):
    """Read every file of `folder` but temporary ones and logs to its end: content by name, without times."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob('*') if path.is_file()}
    read = {name: path for name, path in paths.items() if '/.' not in f'/{name}' and 'vis_data' not in name}
    return {name: READ.get(path.suffix, Path.read_bytes)(path) for name, path in read.items()}


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
    contents(run)  # whole
    finish([*command, run], log)
    (record,), found, expected = names(run, 'train_*.json'), contents(run), contents(whole)
    assert [found[name] for name in (record, 'iter_15.pth')] == [expected[name] for name in (record, 'iter_15.pth')]


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
    contents(out)  # whole
    assert not (out / 'manifest.json').exists()
    finish([*command, out], log)
    assert contents(out) == contents(tmp_path / 'whole') and names(out, '.*') == names(tmp_path / 'whole', '.*')
