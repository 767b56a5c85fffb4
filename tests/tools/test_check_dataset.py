from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CONFIG = next((Path(__file__).parents[2] / 'configs/table2').glob('10_*.py'))
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
def check(data, run_tool):
    def call(*arguments, root=data):
        return run_tool('check_dataset', CONFIG, *arguments, '--cfg-options', f'data_root={root}')

    return call


def test_sound_data_set(check):
    status, stdout, stderr = check()
    assert (status, stderr) == (0, [])
    assert "split 'paper', 256x256 pixels, classes background, fluid" in stdout
    assert 'train: 2 images of 2 subjects, 2 with fluid, 0.31% of their pixels' in stdout
    assert 'val: 1 images of 1 subjects' in stdout


def test_every_problem_on_a_line_and_status_2(check, data):
    (data / 'paper_256/annotations/s02_z10.png').unlink()
    Image.new('L', (255, 256)).save(data / 'paper_256/images/s03_z10.png')
    Image.new('L', (256, 256), 255).save(data / 'paper_256/annotations/s01_z10.png')
    status, _, stderr = check()
    assert status == 2
    *problems, last = stderr
    # Without the missing mask and the bad one no training mask has fluid.
    named = ('images/s03_z10.png', 'annotations/s01_z10.png', 'paper_train.txt', 'paper_train.txt')
    assert len(problems) == 4 and all(name in problem for name, problem in zip(named, problems, strict=True))
    assert last.startswith('error: 4 problems in ')


def test_split_argument_and_missing_data_set(check, data):
    status, _, stderr = check('--split', 'mixed')
    assert status == 2
    assert any('s01_z10' in line and 'mixed_train.txt' in line and 'mixed_val.txt' in line for line in stderr)
    for arguments, root, named in ((('--split', 'papr'), data, 'papr'), ((), data / 'nowhere', 'nowhere')):
        status, _, stderr = check(*arguments, root=root)
        assert (status, len(stderr)) == (2, 1) and named in stderr[0]
