"""The quickstart's script in a copy of the repository, without the installation (the tests run in what it installs)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from octfluid.records.record import read_record

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    for folder in ('configs', 'octfluid', 'scripts', 'tools'):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__'))
    return tmp_path


def quickstart(clone, *arguments, **environment):
    inherited = {
        key: value for key, value in os.environ.items() if key not in ('VIRTUAL_ENV', 'CONDA_PREFIX', 'OCTFLUID_DUKE_RAW')
    }
    # Our own interpreter must be the one that the script finds, and the copy the package that it imports.
    environment = {**inherited, 'VIRTUAL_ENV': sys.prefix, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
                   'PYTHONPATH': str(clone), 'OCTFLUID_NO_INSTALL': '1', **environment}  # fmt: skip
    return subprocess.run(
        ['bash', clone / 'scripts/quickstart.sh', *arguments], env=environment, cwd=clone, capture_output=True, text=True
    )


def test_learns_phantoms(clone):
    done = quickstart(clone)
    assert done.returncode == 0, done.stderr[-2000:]
    work = clone / 'work_dirs/quickstart/phantom'
    trained = read_record(work / 'train_heldout_scratch_150i_seed0.json')
    tested = read_record(work / 'test/test_heldout_scratch_150i_seed0.json')
    assert trained['metrics']['Dice.fluid'] >= 0.80
    assert tested['images'] == trained['images'] and len(trained['images']) == 16
    overlays = sorted((work / 'overlays').glob('*.png'))
    assert [path.stem for path in overlays] == [image['name'] for image in trained['images']]
    assert Image.open(overlays[0]).width >= 256
    assert '| `configs/smoke/phantom.py` | train | heldout | scratch | 150 |' in done.stdout
    assert str(work.relative_to(clone)) in done.stdout and done.stdout.count('\n  bash scripts/') == 2


def test_says_what_is_wrong_with_the_named_data(clone):
    done = quickstart(clone, OCTFLUID_DUKE_RAW=str(clone / 'nothing'))
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1 and str(clone / 'nothing') in done.stderr
    assert not (clone / 'work_dirs').exists()


def test_unknown_argument(clone):
    done = quickstart(clone, '--fast')
    assert done.returncode == 2 and done.stderr == 'error: unknown argument --fast (see scripts/quickstart.sh --help)\n'
