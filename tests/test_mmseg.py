"""The configs are MMSegmentation's: its own functions and tools run them, with nothing of ours but what they import."""

import copy
import json
import os
import subprocess
from pathlib import Path

import cv2
import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.registry import MODELS

from octfluid.engine.config import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts)
MIM = Path(mmseg.__file__).parent / '.mim/tools'
SMOKE = ROOT / 'configs/smoke/phantom.py'


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_network_is_built(path):
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):  # without memory for weights
        model = MODELS.build(cfg.model)
    assert model.out_channels == 2 and cfg.test_dataloader.dataset.ann_file


@pytest.mark.slow
@pytest.mark.parametrize('name', ['hrf/pspnet', 'table1/fcn', 'table2/10_crop320_wd1e-4', 'duke_dme/compact'])
def test_configs_are_complete(name, tmp_path):
    path = ROOT / f'configs/{name}.py'
    cfg = Config.fromfile(path)
    cfg.work_dir, cfg.experiment_name = str(tmp_path), name.replace('/', '_')
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    assert runner._test_loop is not None
    models = runner.model, init_model(cfg, device='cpu')
    first, second = ([tuple(one.shape) for one in model.state_dict().values()] for model in models)
    assert first == second


@pytest.fixture(scope='module')
def environment(python, tmp_path_factory):
    """An interpreter, and a folder from which MMSegmentation's tools run: its own, with no `PYTHONPATH`."""
    folder = tmp_path_factory.mktemp('elsewhere')
    inherited = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    if 'PYTHONPATH' in os.environ:  # the package under test is not the installed one
        inherited['PYTHONPATH'] = str(ROOT)
    return python, folder, {**inherited, 'OMP_NUM_THREADS': '1'}


@pytest.fixture(scope='module')
def options(tiny_options):
    loaders = ('train', 'val', 'test')
    found = {key: value for key, value in tiny_options.items() if key != 'data_root' and not key.startswith('visualizer')}
    found |= {f'{loader}_dataloader.dataset.data_root': tiny_options['data_root'] for loader in loaders}
    found |= {f'{loader}_dataloader.persistent_workers': False for loader in loaders}
    return found | {'test_dataloader.dataset.scan_size': (64, 64), 'test_dataloader.num_workers': 0}


def command(tool, *arguments, options, environment):
    python, folder, variables = environment
    pairs = [f'{key}={str(value).replace(" ", "")}' for key, value in options.items()]
    done = subprocess.run(
        [python, tool, *map(str, arguments), '--cfg-options', *pairs],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def theirs(environment, options):
    """The tiny network, trained by MMSegmentation's own tool."""
    command(MIM / 'train.py', SMOKE, '--work-dir', 'theirs', options=options, environment=environment)
    return environment[1] / 'theirs'


def read(folder, pattern):
    (path,) = folder.rglob(pattern)
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_checkpoint_of_theirs_is_tested_by_ours(theirs, environment, options):
    trained = read(theirs, 'train_*.json')
    assert trained['iterations'] == 12 and len(trained['images']) == 4 and trained['init'] is None
    ours = {key: value for key, value in options.items() if 'data_root' not in key}
    ours['data_root'] = options['train_dataloader.dataset.data_root']
    command(ROOT / 'tools/test.py', SMOKE, theirs / 'iter_12.pth', '--out', 'b', options=ours, environment=environment)
    tested = read(environment[1] / 'b', 'test_*.json')
    assert (tested['images'], tested['metrics']) == (trained['images'], trained['metrics'])


@pytest.mark.slow
def test_a_checkpoint_of_ours_has_equal_scores_in_their_test(environment, options):
    ours = {key: value for key, value in options.items() if 'data_root' not in key}
    ours['data_root'] = options['train_dataloader.dataset.data_root']
    command(ROOT / 'tools/train.py', SMOKE, '--work-dir', 'ours', options=ours, environment=environment)
    folder = environment[1]
    command(MIM / 'test.py', SMOKE, folder / 'ours/iter_12.pth', '--work-dir', 'c', options=options, environment=environment)
    assert read(folder / 'c', 'test_*.json')['metrics'] == read(folder / 'ours', 'train_*.json')['metrics']


def test_one_runner_trains_and_tests_and_its_network_predicts(tiny_options, phantoms, tmp_path):
    cfg = load_config(SMOKE, {**tiny_options, 'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2})
    cfg.work_dir, cfg.experiment_name = str(tmp_path), 'both'
    runner = Runner.from_cfg(copy.deepcopy(cfg))
    runner.train()
    runner.test()
    train, test = read(tmp_path, 'train_*.json'), read(tmp_path, 'test_*.json')
    assert (test['checkpoint_sha256'], test['iterations']) == (train['checkpoint_sha256'], 2) and test['init'] is None
    assert test['metrics'] == train['metrics']
    checkpoint, picture = str(tmp_path / 'iter_2.pth'), str(phantoms / 'native/images/s03_z00.png')
    mask = inference_model(init_model(cfg, checkpoint, device='cpu'), picture).pred_sem_seg.data[0].numpy()
    assert mask.shape == cv2.imread(picture).shape[:2]
    inferencer = MMSegInferencer(model=cfg, weights=checkpoint, device='cpu')
    assert np.array_equal(inferencer(picture, return_datasamples=True, show=False).pred_sem_seg.data[0].numpy(), mask)
