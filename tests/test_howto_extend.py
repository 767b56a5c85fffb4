"""The files and commands of docs/how-to/extend.md work as they are printed."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image

from octfluid.engine.config import load_config
from octfluid.engine.run import train

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs/how-to/extend.md').read_text()
FILES = {name: text for text, name in re.findall(r'```python\n(# (projects/\S+)\n.*?)```', PAGE, re.DOTALL)}
STEM = 'projects/mine'


@pytest.fixture(scope='module')
def clone(phantoms, tmp_path_factory):
    """A clone with the files of the page, on Python's path as an editable installation puts it there."""
    folder = tmp_path_factory.mktemp('clone')
    shutil.copytree(ROOT / 'configs', folder / 'configs')
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copytree(phantoms, folder / 'data/phantom')
    shutil.copytree(phantoms, folder / 'data/three_fluids')
    masks = {path: np.array(Image.open(path)) for path in (folder / 'data/three_fluids/native/annotations').glob('*.png')}
    with_fluid = sorted(path for path, mask in masks.items() if mask.any())
    for place, path in enumerate(with_fluid):
        Image.fromarray(masks[path] * np.uint8(1 + place % 3)).save(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.chdir(folder)
        yield folder


@pytest.fixture
def run(clone, tiny_options):
    """Train a config of the page for two iterations; returns its record."""
    shared = ('train_dataloader', 'val_dataloader', 'train_cfg', 'visualizer')
    options = {key: value for key, value in tiny_options.items() if key.startswith(shared)}
    options |= {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2, 'test_dataloader.dataset.scan_size': (64, 64)}

    def run(name):
        record = train(load_config(f'{STEM}/{name}.py', options), f'work_dirs/{name}')
        return json.loads(record.read_text())

    return run


def test_the_loss_by_hand(clone):
    load_config(f'{STEM}/brier.py')
    loss = MODELS.build(dict(type='BrierLoss'))
    logits, labels = torch.zeros(1, 2, 1, 3), torch.tensor([[[0, 1, 255]]])
    assert loss(logits, labels).item() == pytest.approx(0.5)  # (0.5 - 1)^2 + (0.5 - 0)^2


@pytest.mark.slow
def test_a_loss_and_a_pretrained_backbone(run):
    assert len(run('brier')['images']) == 4
    shutil.copy('work_dirs/brier/iter_2.pth', 'work_dirs/brier/iter_150.pth')
    init = run('pretrained')['init']
    assert init['name'] == 'iter_150.pth' and 0 < init['loaded'] < init['total']


@pytest.mark.slow
def test_a_head_a_network_three_classes_and_a_hook(run, clone):
    assert [run(name)['iterations'] for name in ('two_scales', 'segformer')] == [2, 2]
    classes = run('three_fluids')['images'][0]['classes']
    assert set(classes) == {'background', 'intraretinal', 'subretinal', 'PED'}
    score = run('score_line')['metrics']['Dice.fluid']
    assert (clone / 'work_dirs/score_line/scores.txt').read_text() == f'2 {score:.4f}\n'


def test_a_base_of_mmsegmentation(clone):
    (line,) = re.findall(r'^`(_base_ = .*)`\.$', PAGE, re.MULTILINE)
    path = clone / STEM / 'from_mmseg.py'
    path.write_text(line)
    assert Config.fromfile(path).model.backbone.type == 'MixVisionTransformer'
