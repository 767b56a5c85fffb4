"""Every command of the how-to pages is run, on phantoms and with short trainings."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from glob import glob
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.datasets.phantoms import make_phantom

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
FRAMES = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])


def commands(page, about):
    """Command lines of a page's bash blocks that name ``about``; comments and continued lines are taken care of."""
    blocks = re.findall(r'```bash\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)
    lines = ''.join(blocks).replace('\\\n', ' ').splitlines()
    return [shlex.split(line, comments=True) for line in lines if re.search(about, line)]


def run(command, folder, status=0):
    """Run a command of the docs in a folder that has what the repository brings; returns its output."""
    program = {'python': sys.executable, 'bash': 'bash'}[command[0]]
    environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'PYTHONPATH': str(folder), 'PYTHON': sys.executable}
    parts = [found for part in command[1:] for found in sorted(glob(part, root_dir=folder)) or [part]]
    done = subprocess.run([program, *parts], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == status, (parts, done.stdout[-1500:], done.stderr[-1500:])
    return done.stdout + done.stderr


def run_all(page, folder, change=lambda command: command):
    """Run a page's commands in order; returns the tools that were run."""
    found = commands(page, r'^(python|bash) ')
    for command in found:
        run(change(command), folder)
    return [Path(command[1]).name for command in found]


@pytest.fixture
def here(tmp_path):
    """A copy of what the repository brings, and scans under the names that the pages use."""
    for name in ('tools', 'configs', 'octfluid', 'checkpoints'):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns('__pycache__'))
    (tmp_path / 'folder_of_scans').mkdir()
    for place, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(tmp_path / f'folder_of_scans/b{place}.png')
    shutil.copy(tmp_path / 'folder_of_scans/b0.png', tmp_path / 'scan.png')
    (tmp_path / 'volume.vol').write_bytes(vol_bytes(FRAMES))
    savemat(tmp_path / 'Subject_01.mat', {'images': FRAMES.transpose(1, 2, 0)})
    return tmp_path


@pytest.mark.parametrize('page', ['README.md', 'docs/how-to/predict.md'])
def test_prediction(here, page):
    found = commands(page, r'tools/predict\.py')
    assert len(found) == 2
    for command in found:
        run(command, here)
        assert (here / 'out/manifest.json').is_file()
        shutil.rmtree(here / 'out')


def test_prediction_from_python(here):
    (text,) = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/how-to/predict.md').read_text(), re.DOTALL)
    said = run(['python', '-c', text + '\nprint(found.masks.shape, found.scans[0].fluid_mm2 > 0)'], here)
    assert said == '(1, 96, 128) True\n'


def test_own_data(here):
    for kind in ('scans', 'masks', 'new_scans'):
        (here / 'my' / kind).mkdir(parents=True)
    for patient in 'ABCD':
        for place in range(2):
            scan, mask = make_phantom(ord(patient) + 7 * place, 96, 128, fluid=True)
            Image.fromarray(scan).save(here / f'my/scans/{patient}_{place}.png')
            Image.fromarray((mask > 0).astype(np.uint8) * 255).save(here / f'my/masks/{patient}_{place}.png')
    shutil.copy(here / 'scan.png', here / 'my/new_scans')
    found = commands('docs/how-to/own_data.md', r'^python tools/')
    assert [Path(command[1]).name for command in found] == [
        'folder.py', 'check_dataset.py', 'test.py', 'sweep.py', 'report.py', 'train.py', 'export_onnx.py',
        'predict.py',
    ]  # fmt: skip
    config = here / 'configs/own_data/compact.py'
    text = config.read_text()
    assert text.count('max_iters=450, val_interval=450') == 1
    config.write_text(text.replace('=450', '=2') + 'train_dataloader = dict(num_workers=0, persistent_workers=False)\n')
    for command in found:
        run([part.replace('iter_450', 'iter_2') for part in command], here)
    assert (here / 'own.onnx').is_file() and 'fold' in (here / 'own.md').read_text()
    assert 'fold1' in (here / 'work_dirs/own_report/recipes.md').read_text()
    assert len(list((here / 'out').glob('*_mask.png'))) == 1
