"""The quickstart and the whole paper, in copies of the repository, with tiny networks on tiny scans."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_howto import TINY

from octfluid.records.record import read_record

ROOT = Path(__file__).parents[2]
SMALLER = {
    '(2336, 3504)': '(64, 96)', '(512, 512)': '(64, 64)', '(320, 320)': '(48, 48)', '(256, 256)': '(64, 64)',
    '(170, 170)': '(32, 32)', '=400': '=2', 'persistent_workers=True,': '',
    'num_workers=max(2, min(8, cores // 2)),': 'num_workers=0,', 'channels=64': 'channels=4', 'channels=128': 'channels=8',
}  # fmt: skip


@pytest.fixture
def clone(tmp_path):
    root = tmp_path / 'clone'
    for folder in ('configs', 'octfluid', 'scripts', 'tools'):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns('__pycache__'))
    return root


def run(clone, script, *arguments, python=sys.executable, **environment):
    inherited = {key: value for key, value in os.environ.items() if key not in ('CONDA_PREFIX', 'OCTFLUID_DUKE_RAW')}
    # Our own interpreter must be the one that the script finds, and the copy the package that it imports.
    environment = {**inherited, 'VIRTUAL_ENV': sys.prefix, 'PATH': f'{Path(python).parent}:{os.environ["PATH"]}',
                   'PYTHONPATH': str(clone), 'OCTFLUID_NO_INSTALL': '1', **environment}  # fmt: skip
    command = ['bash', clone / f'scripts/{script}.sh', *arguments]
    return subprocess.run(command, env=environment, cwd=clone, capture_output=True, text=True)


@pytest.mark.slow
def test_quickstart_from_nothing_to_a_report(clone, python):
    with open(clone / 'configs/smoke/phantom.py', 'a') as config:
        config.write(TINY)
    script = clone / 'scripts/quickstart.sh'
    script.write_text(script.read_text().replace('phantom.py --out', 'phantom.py --size 64x64 --subjects 3 --slices 4 --out'))
    done = run(clone, 'quickstart', python=python)
    assert done.returncode == 0, done.stderr[-2000:]
    work = clone / 'work_dirs/quickstart/phantom'
    trained = read_record(work / 'train_heldout_scratch_2i_seed0.json')
    tested = read_record(work / 'test/test_heldout_scratch_2i_seed0.json')
    assert tested['images'] == trained['images'] and len(trained['images']) == 4
    assert sorted(path.stem for path in (work / 'overlays').glob('*.png')) == [image['name'] for image in trained['images']]
    assert '| `configs/smoke/phantom.py` | train | heldout | scratch | 2 |' in done.stdout
    assert (work / 'report/recipes.md').is_file()


@pytest.mark.slow
def test_the_whole_paper(clone, tmp_path, phantoms, write_hrf, python):
    """From photographs to weights, table 1, two rows of table 2 and an ablation; with one head, and two iterations each."""
    for name in ('paper', 'table1'):
        script = clone / f'scripts/reproduce_{name}.sh'
        text = script.read_text()
        assert 'pspnet fcn deeplabv3' in text
        script.write_text(
            text.replace('pspnet fcn deeplabv3', 'pspnet').replace(' --amp auto', '').replace('s01_z30', 's03_z00')
        )
    kept = ('06_crop320', '10_crop320_wd1e-4', 'rotate15')
    for path in (clone / 'configs').rglob('*.py'):
        if path.parent.name in ('table2', 'ablations') and path.stem not in kept:
            path.unlink()
            continue
        text = path.read_text()
        for old, new in SMALLER.items():
            text = text.replace(old, new)
        path.write_text(text)
    data = clone / 'data/duke_dme'
    shutil.copytree(phantoms, data)
    (data / 'native').rename(data / 'paper_256')
    for side in ('train', 'val'):
        (data / f'splits/heldout_{side}.txt').rename(data / f'splits/paper_{side}.txt')
        (data / f'splits/heldout-inner1_{side}.txt').rename(data / f'splits/paper-inner1_{side}.txt')
    for subject in (1, 2, 3):
        for side, held_out in (('train', False), ('val', True)):
            members = [f's{one:02d}_z{z:02d}\n' for one in (1, 2, 3) for z in range(4) if (one == subject) == held_out]
            (data / f'splits/subject{subject:02d}_{side}.txt').write_text(''.join(members))
    raw = write_hrf(tmp_path / 'raw')
    done = run(clone, 'reproduce_paper', '--iters', '2', '--seeds', '0', python=python, OCTFLUID_HRF_RAW=str(raw))
    assert done.returncode == 0, done.stderr
    work = clone / 'work_dirs'
    found = [path.relative_to(work) for path in work.rglob('*_*i_seed*.json')]
    runs = [path.parts[0] for path in found]
    # Row 10 from random weights too, and once a patient.
    assert [runs.count(name) for name in ('hrf', 'table1', 'table2', 'ablations', 'curves')] == [1, 1, 6, 1, 2]
    from_random = [path for path in found if '_hrf-own' not in path.name]
    assert sorted(path.parts[0] for path in from_random) == ['hrf', 'table2']
    assert (work / 'paper/report/table2.md').is_file() and (work / 'paper/figures/pspnet_s03_z00.png').is_file()
    (card,) = (json.loads(path.read_text()) for path in (clone / 'checkpoints/hrf').glob('pspnet_unet_s5-d16_*_2i_hrf-*.json'))
    assert (card['config'], card['iterations'], card['precision']) == ('configs/hrf/pspnet.py', 2, 'fp16')
    record = read_record(work / 'hrf/pspnet_2i/train_usual_scratch_2i_seed0.json')
    # The schedule ends with the second iteration, at its lowest rate.
    assert record['history'][-1]['lr'] == pytest.approx(1e-4)
