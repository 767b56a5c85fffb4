"""The same command twice, in processes of their own, gives the same files."""

import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from faults.ledger import ROOT, budget, note
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom

torch = pytest.importorskip('torch')
COMMAND = 'python -m pytest tests -m faults -k reproducible'
TIMES = ('wall_seconds', 'images_per_second', 'peak_memory_bytes', 'seconds', 'checkpoint_sha256')
"""Of a record: what time and memory took; and the digest of a file that holds the time."""


def run(folder, *arguments):
    """Run a tool in a folder on the CPU."""
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, ROOT / arguments[0], *map(str, arguments[1:])], cwd=folder, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def overrides(options):
    return [f'{key}={json.dumps(value) if isinstance(value, list | dict) else value}' for key, value in options.items()
            if key != 'visualizer.vis_backends']  # fmt: skip


def content(path):
    """What a file holds, without times: weights, records, else bytes."""
    if path.suffix == '.pth':
        state = torch.load(path, weights_only=True)['state_dict']
        return {name: hashlib.sha256(tensor.numpy().tobytes()).hexdigest() for name, tensor in state.items()}
    if path.suffix == '.json':
        found = json.loads(path.read_text())
        return {key: value for key, value in found.items() if key not in TIMES} if isinstance(found, dict) else found
    return hashlib.sha256(path.read_bytes()).hexdigest()


def files(folder, *suffixes):
    """Content of each file by name; logs, which lie in folders named after the time, left out."""
    paths = [path for path in folder.rglob('*') if path.name.endswith(suffixes)]
    return {path.relative_to(folder).as_posix(): content(path) for path in paths if not re.search(r'/\d{8}_\d{6}/', str(path))}


def twice(tmp_path, what, suffixes, arguments, times, device=None):
    """Run a command once, then `times` times more; returns how many of these gave the files of the first."""
    results = []
    for number in range(times + 1):
        (tmp_path / str(number)).mkdir()
        run(tmp_path / str(number), *arguments)
        results.append(files(tmp_path / str(number), *suffixes))
    assert results[0], 'nothing to compare'
    held = sum(result == results[0] for result in results[1:])
    note('reproducibility', what, times, held, COMMAND, files_compared=len(results[0]), **({'on': device} if device else {}))
    return held


@pytest.mark.skipif(torch.cuda.is_available(), reason='the test below trains on the GPU')
@pytest.mark.parametrize('options', [[], ['--amp'], ['--deterministic']])
def test_training(tmp_path, tiny_options, options):
    arguments = [
        'tools/train.py',
        ROOT / 'configs/smoke/phantom.py',
        '--init',
        'none',
        '--seed',
        '3',
        '--work-dir',
        'run',
        *options,
    ]
    what = f'training {" ".join(options)}'.strip() + ': record and weights'
    times = budget(3, 1)
    arguments += ['--cfg-options', *overrides(tiny_options)]
    assert twice(tmp_path, what, ('.json', '.pth'), arguments, times, 'CPU') == times


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('config', ['configs/table2/10_crop320_wd1e-4.py', 'configs/ablations/deeplabv3_head.py'])
def test_training_on_a_gpu(tmp_path, config):
    if not (ROOT / 'data/duke_dme').is_dir():
        pytest.skip('no data/duke_dme')
    arguments = ['tools/train.py', ROOT / config, '--init', 'none', '--deterministic', '--work-dir', 'run', '--cfg-options',
                 f'data_root={ROOT / "data/duke_dme"}', 'train_cfg.max_iters=20', 'train_cfg.val_interval=20']  # fmt: skip
    times, device = budget(3, 1), torch.cuda.get_device_name()
    assert twice(tmp_path, f'{config} --deterministic', ('.json', '.pth'), arguments, times, device) == times


def test_prediction(tmp_path):
    frames = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])
    Image.fromarray(frames[0]).save(tmp_path / 'scan.png')
    savemat(tmp_path / 'volume.mat', {'images': frames.transpose(1, 2, 0)})
    arguments = ['tools/predict.py', tmp_path / 'scan.png', tmp_path / 'volume.mat', '--out', 'out', '--save-prob', '--spacing',
                 '0.004,0.011,0.12']  # fmt: skip
    times = budget(3, 1)
    assert twice(tmp_path, 'prediction: every file', ('.png', '.csv', '.json', '.nii.gz'), arguments, times) == times


def test_report(tmp_path):
    arguments = ['tools/report.py', ROOT / 'docs/results/records', '--out', 'pages']
    times = budget(3, 1)
    assert twice(tmp_path, 'report: every page', ('.md', '.json', '.html'), arguments, times) == times
