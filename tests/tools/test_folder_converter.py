import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.integrity import check_dataset
from octfluid.utils.cli import exit_status_of

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/folder.py'


@pytest.fixture
def folders(tmp_path):
    """Folders of three scans of two patients, the last without a mask, and of masks, the first with fluid."""
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
    for name, fluid in (('vol1_1', 255), ('vol1_2', 0), ('vol2_1', None)):
        Image.new('L', (8, 6), 90).save(tmp_path / f'images/{name}.png')
        if fluid is not None:
            mask = np.zeros((6, 8), np.uint8)
            mask[2, 3:6] = fluid
            Image.fromarray(mask).save(tmp_path / f'masks/{name}.png')
    return tmp_path


@pytest.fixture
def convert(folders, monkeypatch, capfd):
    """Run the tool in this process; returns status, stdout and stderr."""

    def call(*arguments):
        paths = [folders / 'images', folders / 'masks', '--out', folders / 'data']
        monkeypatch.setattr(sys, 'argv', ['folder.py', *map(str, paths), *arguments])
        status = exit_status_of(runpy.run_path(str(TOOL))['main'])
        return status, *capfd.readouterr()

    return call


def test_it_says_what_it_made_and_what_it_left_out(convert, folders):
    status, stdout, stderr = convert('--subject', r'(vol\d+)_\d+')
    assert (status, stderr) == (0, '')
    assert stdout.splitlines() == [
        f'2 scans of 1 patient, 1 with fluid: {folders / "data"}', 'left out, without a mask: 1 (first: vol2_1)',
    ]  # fmt: skip


def test_it_says_which_masks_are_left_out_and_which_may_be_inverted(convert, folders):
    Image.new('L', (8, 6)).save(folders / 'masks/vol3_1.png')
    Image.new('L', (8, 6), 255).save(folders / 'masks/vol2_1.png')
    status, stdout, _ = convert()
    assert status == 0 and stdout.splitlines()[1:] == [
        'left out, masks without a scan: 1 (first: vol3_1)',
        'warning: 1 of the masks call more than half of their scan fluid (first: vol2_1); is that the background?',
    ]


def test_what_it_made_is_sound(convert, folders):
    assert convert()[0] == 0
    report = check_dataset(folders / 'data', 'native', 'all')
    assert report.problems == []
    assert (report.subsets['train'].images, report.subsets['train'].subjects, report.subsets['train'].with_fluid) == (2, 2, 1)


@pytest.mark.parametrize(('subject', 'message'), [('vol', 'has no group'), ('(x.+)', 'does not match'), ('(', 'not a regular')])
def test_a_bad_pattern_is_one_line_and_status_2(convert, folders, subject, message):
    before = sorted(os.listdir(folders))
    status, stdout, stderr = convert('--subject', subject)
    assert (status, stdout) == (2, '')
    assert len(stderr.splitlines()) == 1 and stderr.startswith('error: ') and message in stderr
    assert sorted(os.listdir(folders)) == before


def test_help_shows_an_example():
    done = subprocess.run([sys.executable, str(TOOL), '--help'], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert 'folder.py scans/images scans/masks --out data/external' in done.stdout
