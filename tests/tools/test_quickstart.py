"""The quickstart's script in a copy of the repository, without the installation (the tests run in what it installs)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import read_record

ROOT = Path(__file__).parents[2]
TINY = """
train_pipeline[2]['crop_size'] = (48, 48)
train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
model = dict(
    backbone=dict(base_channels=4),
    decode_head=dict(in_channels=4, channels=4),
    auxiliary_head=dict(in_channels=8, channels=4),
)
train_cfg = dict(max_iters=4, val_interval=4)
"""


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


@pytest.mark.slow
def test_from_nothing_to_a_report(clone):
    with open(clone / 'configs/smoke/phantom.py', 'a') as config:
        config.write(TINY)
    done = quickstart(clone)
    assert done.returncode == 0, done.stderr[-2000:]
    work = clone / 'work_dirs/quickstart/phantom'
    trained = read_record(work / 'train_heldout_scratch_4i_seed0.json')
    tested = read_record(work / 'test/test_heldout_scratch_4i_seed0.json')
    assert tested['images'] == trained['images'] and len(trained['images']) == 16
    assert sorted(path.stem for path in (work / 'overlays').glob('*.png')) == [image['name'] for image in trained['images']]
    assert '| `configs/smoke/phantom.py` | train | heldout | scratch | 4 |' in done.stdout
    assert (work / 'report/recipes.md').is_file()


def test_says_what_is_wrong_with_the_named_data(clone):
    done = quickstart(clone, OCTFLUID_DUKE_RAW=str(clone / 'nothing'))
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1 and str(clone / 'nothing') in done.stderr
    assert not (clone / 'work_dirs').exists()
