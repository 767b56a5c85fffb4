"""The commands of the tutorial and the how-to pages run as printed, on phantoms, with tiny networks and fewer runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.datasets.phantoms import make_phantom
from octfluid.datasets.prepare.phantom import write_phantom_dataset

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
TINY = """
train_pipeline[2]['crop_size'] = (48, 48)
small = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, dataset=dict(scan_size=(64, 64), pipeline=train_pipeline), **small)
val_dataloader = dict(dataset=dict(scan_size=(64, 64)), **small)
test_dataloader = val_dataloader
model = dict(
    backbone=dict(base_channels=4),
    decode_head=dict(in_channels=4, channels=4),
    auxiliary_head=dict(in_channels=8, channels=4),
)
train_cfg = dict(max_iters=2, val_interval=2)
"""
TINY_DUKE = """
_base_ = '../smoke/phantom.py'
train_dataloader = dict(dataset=dict(data_root='data/duke_dme', ann_file='splits/paper_train.txt'))
val_dataloader = dict(dataset=dict(data_root='data/duke_dme', ann_file='splits/paper_val.txt'))
test_dataloader = val_dataloader
"""
SPLITS = {'paper': (1,), 'subject02': (2,), 'subject01-inner3': (2,)}
"""Split -> subjects to validate on."""
FEWER = {
    r'--out data/phantom': r'--out data/phantom --size 64x64 --subjects 3 --slices 2',
    r'iter_\d+': 'iter_2',
    r'configs/table2/06_crop320\.py ': '',
    r'--seeds 0 1( 2)?': '--seeds 0',
    r'leave-one-subject-out': 'subject02',
    r'python tools/test.py configs/duke_dme/compact.py work_dirs/a.*\n': '',  # an ensemble needs a ScanSegmentor
    r'external/compact.py checkpoints/\S+': 'external/compact.py work_dirs/compact/iter_2.pth',
    r'python tools/train.py \S+ --split subject01 .*\n': '',
    r'--splits (?!fold)(?:[\w-]+ )*?([\w-]+)(?= --|\n)': r'--splits \1',
}


def blocks(page, language='bash'):
    return ''.join(re.findall(rf'```{language}\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)).replace('\\\n', ' ')


@pytest.fixture(scope='module')
def run(python):
    """Run a script in a folder that stands for the clone; returns its output."""

    def call(script, folder):
        path = f'{python.parent}{os.pathsep}{os.environ["PATH"]}'
        environment = {**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'PYTHONPATH': str(folder), 'PATH': path}
        done = subprocess.run(['bash', '-euxc', script], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout[-1500:], done.stderr[-2500:])
        return done.stdout

    return call


def less(page):
    script = blocks(page)
    for pattern, fewer in FEWER.items():
        script = re.sub(pattern, fewer, script)
    return script


def write_split(data, name, validated, numbers):
    for subset, kept in (('train', numbers - set(validated)), ('val', validated)):
        (data / f'splits/{name}_{subset}.txt').write_text(''.join(f's{number:02d}_z00\n' for number in sorted(kept)))


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """What the repository brings, with tiny networks, and phantoms in the place of the Duke data."""
    folder = tmp_path_factory.mktemp('clone')
    for name in ('tools', 'configs', 'octfluid', 'checkpoints'):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
    with (folder / 'configs/smoke/phantom.py').open('a') as config:
        config.write(TINY)
    for name in ('table2/06_crop320.py', 'table2/10_crop320_wd1e-4.py', 'duke_dme/compact.py'):
        (folder / 'configs' / name).write_text(TINY_DUKE)
    data = folder / 'data/duke_dme'
    write_phantom_dataset(data, subjects=3, slices=1, height=64, width=64)
    for name, validated in SPLITS.items():
        write_split(data, name, validated, {2, 3} if 'inner' in name else {1, 2, 3})
    return folder


@pytest.fixture(scope='module')
def trained(clone, run):
    """The clone after the tutorial, whose network stands for all that the other pages name."""
    run(less('docs/tutorial.md'), clone)
    network = clone / 'work_dirs/tutorial/iter_2.pth'
    for place in ('10_crop320_wd1e-4', 'compact', 'a', 'b'):
        (clone / 'work_dirs' / place).mkdir()
        shutil.copy(network, clone / 'work_dirs' / place)
    (clone / 'checkpoints/hrf').mkdir()
    shutil.copy(network, clone / 'checkpoints/hrf/pspnet_unet_s5-d16_hrf.pth')
    return clone


def test_tutorial(trained):
    work = trained / 'work_dirs/tutorial'
    assert (work / 'report/report.html').is_file() and len(list((work / 'overlays').glob('*.png'))) == 2


def test_evaluate(trained, run):
    for kind, name in (('images', 'images'), ('annotations', 'masks')):
        shutil.copytree(trained / 'data/duke_dme/native' / kind, trained / 'scans' / name)
    run(less('docs/how-to/evaluate.md'), trained)
    assert len(list((trained / 'work_dirs/sweep').rglob('train_*.json'))) == 2
    assert (trained / 'work_dirs/report/report.html').is_file()


def test_predict_with_a_config(trained, run):
    shutil.copy(next((trained / 'data/duke_dme/native/images').iterdir()), trained / 'scan.png')
    (command,) = [line for line in blocks('docs/how-to/predict.md').splitlines() if '--config' in line]
    run(command.replace('iter_400', 'iter_2'), trained)
    assert (trained / 'out/scan_mask.png').is_file()
    shutil.rmtree(trained / 'out')  # other pages use the name, too


def test_export(trained, run):
    run(less('docs/how-to/export.md'), trained)
    scans = 'import numpy as np\nscans = np.zeros((2, 64, 64), np.uint8)\n'
    (trained / 'example.py').write_text(scans + blocks('docs/how-to/export.md', 'python') + 'print(mask.shape)\n')
    assert run('python example.py', trained) == '(2, 64, 64)\n'


def test_own_data(clone, run):
    for kind in ('scans', 'masks', 'new_scans'):
        (clone / 'my' / kind).mkdir(parents=True)
    for patient in 'ABC':
        scan, mask = make_phantom(ord(patient), 96, 128, fluid=True)
        Image.fromarray(scan).save(clone / f'my/scans/{patient}_0.png')
        Image.fromarray((mask > 0).astype(np.uint8) * 255).save(clone / f'my/masks/{patient}_0.png')
    shutil.copy(clone / 'my/scans/A_0.png', clone / 'my/new_scans')
    config = clone / 'configs/own_data/compact.py'
    text = config.read_text()
    assert text.count('max_iters=450, val_interval=450') == 1
    small = 'train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)\n'
    config.write_text(text.replace('=450', '=2') + small)
    run(less('docs/how-to/own_data.md'), clone)
    text = (clone / 'work_dirs/own_report/recipes.md').read_text()
    assert '| fold3 |' in text and '| folds |' in text and 'paper' not in text.lower()
    assert (clone / 'work_dirs/own.md').is_file() and len(list((clone / 'out').glob('*_mask.png'))) == 1


@pytest.fixture
def scans(clone, tmp_path):
    """A folder with scans under the names that the pages use."""
    for name in ('tools', 'octfluid'):
        (tmp_path / name).symlink_to(clone / name)
    frames = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])
    (tmp_path / 'folder_of_scans').mkdir()
    for place, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f'folder_of_scans/b{place}.png')
    shutil.copy(tmp_path / 'folder_of_scans/b0.png', tmp_path / 'scan.png')
    (tmp_path / 'volume.vol').write_bytes(vol_bytes(frames))
    savemat(tmp_path / 'Subject_01.mat', {'images': frames.transpose(1, 2, 0)})
    return tmp_path


@pytest.mark.parametrize('page', ['README.md', 'docs/how-to/predict.md'])
def test_predict(scans, page, run):
    lines = [line for line in blocks(page).splitlines() if 'tools/predict.py' in line and '--config' not in line]
    assert lines
    for line in lines:
        run(line, scans)
        assert (scans / 'out/manifest.json').is_file() and list((scans / 'out').rglob('*_mask.png'))
        shutil.rmtree(scans / 'out')
    (scans / 'example.py').write_text(blocks(page, 'python') + 'print(len(found.masks), found.scans[0].fluid_px > 0)\n')
    assert run('python example.py', scans) == '1 True\n'
