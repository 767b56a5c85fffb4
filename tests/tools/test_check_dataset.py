import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.utils.cli import exit_status_of

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools/check_dataset.py'
CONFIG = next((ROOT / 'configs/table2').glob('10_*.py'))
NAMES = ['s01_z10', 's02_z10', 's03_z10']


@pytest.fixture
def data(tmp_path):
    root = tmp_path / 'duke_dme'
    for kind in ('images', 'annotations'):
        (root / 'paper_256' / kind).mkdir(parents=True)
    mask = np.zeros((256, 256), np.uint8)
    mask[100:110, 100:120] = 1
    for name in NAMES:
        Image.fromarray(mask * 30 * int(name[1:3])).save(root / f'paper_256/images/{name}.png')
        Image.fromarray(mask).save(root / f'paper_256/annotations/{name}.png')
    (root / 'splits').mkdir()
    (root / 'splits/paper_train.txt').write_text('s01_z10\ns02_z10\n')
    (root / 'splits/paper_val.txt').write_text('s03_z10\n')
    (root / 'splits/mixed_train.txt').write_text('s01_z10\n')
    (root / 'splits/mixed_val.txt').write_text('s01_z10\n')
    (root / 'index.csv').write_text('name,subject,slice\n' + ''.join(f'{name},{int(name[1:3])},10\n' for name in NAMES))
    return root


@pytest.fixture
def check(data, monkeypatch, capfd):
    """Run the tool in this process; returns status, stdout and stderr."""

    def call(*arguments, root=data):
        monkeypatch.setattr(sys, 'argv', ['check_dataset.py', str(CONFIG), *arguments, '--cfg-options', f'data_root={root}'])
        status = exit_status_of(runpy.run_path(str(TOOL))['main'])
        return status, *capfd.readouterr()

    return call


def test_sound_data_set(check):
    status, stdout, stderr = check()
    assert (status, stderr) == (0, '')
    assert "split 'paper', 256x256 pixels, classes background, fluid" in stdout
    assert 'train: 2 images of 2 subjects, 2 with fluid, 0.31% of their pixels' in stdout
    assert 'val: 1 images of 1 subjects' in stdout


def test_every_problem_on_a_line_and_status_2(check, data):
    (data / 'paper_256/annotations/s02_z10.png').unlink()
    Image.new('L', (255, 256)).save(data / 'paper_256/images/s03_z10.png')
    Image.new('L', (256, 256), 255).save(data / 'paper_256/annotations/s01_z10.png')
    status, _, stderr = check()
    assert status == 2
    *problems, last = stderr.splitlines()
    # The missing mask counts twice (its image, and the list); without it and the bad one no training mask has fluid.
    named = ('images/s02_z10.png', 'images/s03_z10.png', 'annotations/s01_z10.png', 'paper_train.txt', 'paper_train.txt')
    assert len(problems) == 5 and all(name in problem for name, problem in zip(named, problems, strict=True))
    assert last.startswith('error: 5 problems in ')


def test_split_argument_and_missing_data_set(check, data):
    status, _, stderr = check('--split', 'mixed')
    assert status == 2
    assert "'s01_z10' is in both mixed_train.txt and mixed_val.txt" in stderr
    for arguments, root, named in ((('--split', 'papr'), data, 'papr'), ((), data / 'nowhere', 'nowhere')):
        status, _, stderr = check(*arguments, root=root)
        assert status == 2
        assert len(stderr.splitlines()) == 1 and named in stderr
