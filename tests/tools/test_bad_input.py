"""What a tool or script cannot use is refused: status 2, one line on stderr that names it, and no file is left behind."""

import os
import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.phantoms import make_phantom
from octfluid.datasets.prepare.phantom import write_phantom_dataset

pytest.importorskip('torch')
pytest.importorskip('gradio')
pytest.importorskip('onnx')
ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{root}/configs/smoke/phantom.py'
train_dataloader = dict(dataset=dict(scan_size=(64, 64), data_root='data/{name}'), num_workers=0, persistent_workers=False)
val_dataloader = dict(dataset=dict(scan_size=(64, 64), data_root='data/{name}'), num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
heads = dict(in_channels=4, channels=4)
model = dict(backbone=dict(base_channels=4), decode_head=heads, auxiliary_head=dict(heads, in_channels=8))
"""
CONVERT = 'python tools/dataset_converters'
ROWS = [  # command, what the line on stderr names
    ('python tools/predict.py cut.png --out out', 'cut.png'),
    ('python tools/predict.py own/images --out out --model text', 'text'),
    ('python tools/app.py --port 99999', '99999'),
    (f'{CONVERT}/duke_dme.py own --out data/new', 'own'),
    (f'{CONVERT}/hrf.py own --out data/new', 'own'),
    (f'{CONVERT}/folder.py own/images own/images --out own', 'own'),
    (f'{CONVERT}/phantom.py --out data/new --size 8x8', '8'),
    ('python tools/train.py syntax.py', 'syntax.py'),
    ('python tools/train.py good.py --init none --split monday', 'monday'),
    ('python tools/train.py masks255.py --init none', 's01_z01.png'),
    ('python tools/train.py good.py --init runs_code.pth', 'runs_code.pth'),
    ('python tools/test.py good.py runs_code.pth', 'runs_code.pth'),
    ('python tools/sweep.py good.py --seeds 0 --executor slurm --slurm tiem=60', 'time'),
    ('python tools/export_onnx.py good.py runs_code.pth --out model.pt', 'model.pt'),
    ('bash tools/dist_train.sh good.py', 'good.py'),
    ('python tools/benchmark.py data good.py', 'RandomResize'),
    ('python tools/analysis_tools/print_config.py no.py', 'no.py'),
    ('bash scripts/check_gpu.sh --heads segformer', 'segformer'),
    ('bash scripts/quickstart.sh now', 'now'),
    ('bash scripts/download_data.sh faces', 'faces'),
    ('bash scripts/download_checkpoints.sh segformer', 'segformer'),
    ('bash scripts/pretrain_hrf.sh segformer', 'segformer'),
    ('bash scripts/reproduce_table1.sh segformer', 'segformer'),
    ('bash scripts/reproduce_recipe.sh tiny', 'tiny'),
    ('bash scripts/reproduce_paper.sh --iters none', 'none'),
]
LISTED = {f'out/{name}' for name in ('manifest.json', 'measurements.csv', 'measurements.json')}  # by predict.py: what failed


class RunsCode:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return open, ('ran', 'w')


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    """Files that cannot be used, and good ones to combine them with."""
    folder = tmp_path_factory.mktemp('inputs')
    for kind in ('images', 'masks'):
        (folder / 'own' / kind).mkdir(parents=True)
    for patient in 'ABC':
        scan, fluid = make_phantom(ord(patient), 64, 96, fluid=True)
        Image.fromarray(scan).save(folder / f'own/images/{patient}_1.png')
        Image.fromarray(fluid).save(folder / f'own/masks/{patient}_1.png')
    content = (folder / 'own/images/A_1.png').read_bytes()
    (folder / 'cut.png').write_bytes(content[: len(content) // 2])
    (folder / 'text').write_text('not a model')

    write_phantom_dataset(folder / 'data/good', subjects=3, slices=4, height=64, width=64)
    shutil.copytree(folder / 'data/good', folder / 'data/masks255')
    mask = folder / 'data/masks255/native/annotations/s01_z01.png'
    Image.fromarray(np.asarray(Image.open(mask)) * 255).save(mask)
    for name in ('good', 'masks255'):
        (folder / f'{name}.py').write_text(CONFIG.format(root=ROOT, name=name))
    (folder / 'syntax.py').write_text('model = dict(\n')

    (folder / 'runs_code.pth').write_bytes(pickle.dumps({'state_dict': RunsCode()}))
    return folder


@pytest.mark.parametrize(('command', 'named'), ROWS, ids=lambda text: text.replace('/', ' '))
def test_refused(inputs, tmp_path, monkeypatch, run_tool, command, named):
    here = tmp_path / 'here'
    shutil.copytree(inputs, here)
    monkeypatch.chdir(here)
    program, script, *arguments = shlex.split(command)
    if program == 'bash':
        environment = {**os.environ, 'PYTHON': sys.executable}
        done = subprocess.run(['bash', ROOT / script, *arguments], capture_output=True, text=True, env=environment)
        status, lines = done.returncode, done.stderr.splitlines()
    else:
        status, _, lines = run_tool(script.removeprefix('tools/').removesuffix('.py'), *arguments)
    assert (status, len(lines)) == (2, 1), lines
    assert lines[0].startswith(('error: ', 'failed: ')) and named in lines[0].partition(' (see ')[0]
    left = {path.relative_to(here).as_posix() for path in here.rglob('*') if path.is_file()}
    left -= {path.relative_to(inputs).as_posix() for path in inputs.rglob('*')} | LISTED
    assert [name for name in left if not name.endswith(('.pyc', '.lock'))] == []
