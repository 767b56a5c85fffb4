"""What the configs must say. That every one builds and runs: test_mmseg.py."""

import ast
import copy
import json
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.engine.config import load_config
from octfluid.records.fingerprint import config_sha256, deciding_settings

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
FILES = sorted(CONFIGS.rglob('*.py'))
EXPERIMENTS = [path.relative_to(CONFIGS).with_suffix('').as_posix() for path in FILES if '_base_' not in path.parts]
TABLE2 = [name for name in EXPERIMENTS if name.startswith('table2/')]
ROW10 = 'table2/10_crop320_wd1e-4'
CE = dict(type='CrossEntropyLoss', use_sigmoid=False)
DICE = dict(type='DiceLoss', use_sigmoid=False)
FOCAL = dict(type='SigmoidFocalLoss', gamma=2.0, alpha=0.5)
SGD = dict(type='SGD', lr=0.01, momentum=0.9)
ADAM = dict(type='Adam', lr=0.01)
# The paper's table 2 and what its notebooks say. The loss rows have weight 1 on both heads, the others U-Net's 1 and 0.4.
# row: iterations, crop, flip, loss, weight on the auxiliary head, optimizer, weight decay
ROWS = {
    1: (200, None, False, CE, 0.4, SGD, 5e-4),
    2: (400, None, False, CE, 0.4, SGD, 5e-4),
    3: (400, None, True, CE, 0.4, SGD, 5e-4),
    4: (400, 192, False, CE, 0.4, SGD, 5e-4),
    5: (400, 224, False, CE, 0.4, SGD, 5e-4),
    6: (400, 320, False, CE, 0.4, SGD, 5e-4),
    7: (400, 320, False, DICE, 1.0, SGD, 5e-4),
    8: (400, 320, False, FOCAL, 1.0, SGD, 5e-4),
    9: (400, 320, False, CE, 0.4, ADAM, 5e-4),
    10: (400, 320, False, CE, 0.4, SGD, 1e-4),
    11: (400, 320, False, CE, 0.4, SGD, 1e-3),
}
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
ENLARGE, PACK = dict(type='Resize', scale=(512, 512), keep_ratio=True), dict(type='PackFluidInputs')
WINDOWS = dict(mode='slide', crop_size=(256, 256), stride=(170, 170))
POLY = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40_000, by_epoch=False)]


@pytest.fixture(autouse=True)
def registry_scope():
    init_default_scope('mmseg')


@cache
def config(name):
    return load_config(CONFIGS / f'{name}.py')


def docstring(name):
    return ast.get_docstring(ast.parse((CONFIGS / f'{name}.py').read_text()))


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_every_config_is_a_lab_note(name):
    commands = [line.strip() for line in docstring(name).splitlines() if line.strip().startswith('python tools/t')]
    if name.startswith(('table1/', 'external/')):
        assert commands == [f'python tools/test.py configs/{name}.py CHECKPOINT']
    else:
        train = f'python tools/train.py configs/{name}.py'
        assert commands[0].removesuffix(' --amp').removesuffix(' --split paper-inner1') == train
        assert all(command.startswith(f'{train} --init ') for command in commands[1:])  # the same from other weights


@pytest.mark.parametrize(('name', 'row'), zip(TABLE2, ROWS.values(), strict=True))
def test_a_row_of_table_2_is_the_papers(name, row):
    iterations, crop, flip, loss, auxiliary_weight, optimizer, weight_decay = row
    cfg = config(name)
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
    assert cfg.train_dataloader.dataset.pipeline == [
        *LOAD,
        ENLARGE,
        *([dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=0.75)] if crop else []),
        *([dict(type='RandomFlip', prob=0.5, direction='horizontal')] if flip else []),
        PACK,
    ]
    assert cfg.model.decode_head.loss_decode == dict(loss, loss_weight=1.0)
    assert cfg.model.auxiliary_head.loss_decode == dict(loss, loss_weight=auxiliary_weight)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict(optimizer, weight_decay=weight_decay, fused=True))
    # What all rows share.
    assert (cfg.train_dataloader.batch_size, cfg.param_scheduler, cfg.randomness.seed) == (2, POLY, 0)
    for loader, subset in (('train', 'train'), ('val', 'val'), ('test', 'val')):
        dataset = cfg[f'{loader}_dataloader'].dataset
        assert (dataset.type, dataset.ann_file) == ('DukeDMEDataset', f'splits/paper_{subset}.txt')
        assert dataset.data_prefix == dict(img_path='paper_256/images', seg_map_path='paper_256/annotations')
    assert cfg.val_dataloader.dataset.pipeline == [LOAD[0], ENLARGE, LOAD[1], PACK]
    assert (cfg.model.decode_head.type, cfg.model.test_cfg) == ('PSPHead', WINDOWS)
    assert all(cfg.model[part].norm_cfg.type == 'BN' for part in ('backbone', 'decode_head', 'auxiliary_head'))
    assert Path(cfg.load_from).name.startswith('pspnet_unet_s5-d16_') and not cfg.default_hooks.initial_weights.reinit


@pytest.mark.parametrize(('head', 'paper'), [('pspnet', 0.0022), ('fcn', 0.0008), ('deeplabv3', 0.0016)])
def test_table_1_applies_the_vessel_network_as_it_was_trained(head, paper):
    cfg, vessels, fluid = config(f'table1/{head}'), config(f'hrf/{head}'), config(ROW10)
    assert cfg.model == vessels.model
    pipeline = vessels.test_dataloader.dataset.pipeline
    scored = dict(fluid.test_dataloader.dataset, pipeline=pipeline, ann_file='splits/all_train.txt')
    assert cfg.test_dataloader.dataset == scored
    assert Compose(pipeline[1:2])(dict(img=np.zeros((256, 256, 3), np.uint8)))['img_shape'] == (2336, 2336)
    assert f'Paper: {paper}, ' in docstring(f'table1/{head}')


def test_committed_records_are_of_the_configs_as_they_are():
    """Records name the digest of all settings that decide a result: one record of each config is compared."""
    found = {}
    for path in sorted((ROOT / 'docs/results/records').rglob('*.json')):
        record = json.loads(path.read_text())
        found.setdefault(record['config'], record)
    assert len(found) > 15
    for name, record in found.items():
        cfg = load_config(ROOT / name, record['overrides'], split=record['split'])
        assert config_sha256(cfg) == record['config_sha256'], name


def row_10_with(name):
    """Row 10 of table 2 with what the name of an ablation says, and nothing else, changed."""
    expected, what = copy.deepcopy(config(ROW10)), name.split('_')
    if name.startswith('ce_dice_'):
        ce, dice = (int(percent) / 100 for percent in what[2:])
        for head, scale in (('decode_head', 1.0), ('auxiliary_head', 0.4)):
            fluid_dice = dict(DICE, ignore_index=0, loss_weight=scale * dice)
            expected.model[head].loss_decode = [dict(CE, loss_weight=scale * ce), fluid_dice]
    elif name.endswith('_head'):
        expected.model.decode_head = config(f'hrf/{what[0]}').model.decode_head
    elif name == 'rotate15':
        rotation = dict(type='RandomRotate', prob=0.5, degree=15.0, pad_val=0, seg_pad_val=255)
        expected.train_dataloader.dataset.pipeline.insert(3, rotation)
    elif name == 'row10_4000':
        expected.train_cfg.max_iters = 4000
    return expected


@pytest.mark.parametrize('name', [Path(name).name for name in EXPERIMENTS if name.startswith('ablations/')])
def test_an_ablation_is_row_10_but_for_what_its_name_says(name):
    found = config(f'ablations/{name}')
    assert deciding_settings(found) == deciding_settings(row_10_with(name)) != deciding_settings(config(ROW10))
    assert Path(found.load_from).name.startswith(name.split('_')[0] if name.endswith('_head') else 'pspnet')


PIPELINE = 'train_dataloader.dataset.pipeline'
STEPS = [name for name in EXPERIMENTS if name.startswith('duke_dme/steps/')]
LAST = STEPS[-1]
# What each config of the recipe adds to another one: patterns of settings, with the transforms of a pipeline by type.
ADDED = {
    (STEPS[0], STEPS[1]): ['model.decode_head.loss_decode.1.*'],
    (STEPS[1], STEPS[2]): [f'{PIPELINE}.FluidCrop.prob'],
    (STEPS[2], STEPS[3]): [f'{PIPELINE}.RandomFlip.*'],
    (STEPS[3], STEPS[4]): [f'{PIPELINE}.RandomApply.*', f'{PIPELINE}.RandomRotate.*'],
    (STEPS[4], STEPS[5]): [f'{PIPELINE}.Random{kind}.*' for kind in ('Gamma', 'Speckle', 'Blur', 'LowResolution')],
    (STEPS[5], STEPS[6]): ['custom_hooks.0.*'],
    (STEPS[6], STEPS[7]): ['model.auxiliary_head*'],
    (STEPS[7], STEPS[8]): ['model.mirror'],
    (LAST, 'duke_dme/compact'): ['param_scheduler.1.end', 'train_cfg.max_iters'],
    (LAST, 'duke_dme/beside/whole_frame'): ['model.data_preprocessor.size*', f'{PIPELINE}.FluidCrop.crop_size*'],
    (LAST, 'duke_dme/beside/small_windows'): [
        'model.data_preprocessor.size*', f'{PIPELINE}.FluidCrop.crop_size*', 'train_dataloader.batch_size',
    ],
    (LAST, 'duke_dme/beside/devices'): [
        *(f'{PIPELINE}.Random{kind}.*' for kind in ('Gamma', 'Speckle', 'Noise', 'Blur', 'LowResolution', 'Apply')),
    ],
    ('duke_dme/beside/devices', 'duke_dme/beside/devices_1800'): ['param_scheduler.1.end', 'train_cfg.max_iters'],
    (LAST, 'duke_dme/beside/instance_norm'): ['model.*.norm_cfg.*'],
    (LAST, 'duke_dme/beside/group_norm'): ['model.*.norm_cfg.*'],
    (LAST, 'duke_dme/beside/hard_pixels'): ['model.decode_head.sampler.*'],
    (LAST, 'duke_dme/beside/constant_rate'): ['param_scheduler.1.begin'],
    (LAST, 'duke_dme/beside/wide'): ['model.backbone.channels*', 'model.decode_head.*', 'model.auxiliary_head.*'],
    (LAST, 'duke_dme/beside/unet_s5-d16'): ['model.backbone.*'],
    (LAST, 'duke_dme/beside/native_resolution'): [
        'model.*_size*', 'model.*.size*', *(f'{PIPELINE}.{step}.*' for step in ('Resize', 'RandomApply', 'FluidCrop')),
    ],
    (LAST, 'duke_dme/beside/pspnet_scratch'): ['model.*'],
    ('duke_dme/beside/pspnet_scratch', 'duke_dme/beside/pspnet_hrf'): [],  # all but `load_from`
    ('duke_dme/compact', 'duke_dme/compact_paper256'): ['*.dataset.data_prefix.seg_map_path'],
    ('duke_dme/compact', 'duke_dme/columns'): [f'{PIPELINE}.IgnoreUngradedColumns*'],
    ('duke_dme/compact', 'duke_dme/across_devices'): [
        *(f'{PIPELINE}.Random{kind}.*' for kind in ('Gamma', 'Speckle', 'Noise', 'Blur', 'LowResolution', 'Apply')),
    ],
    ('duke_dme/columns', 'duke_dme/columns_paper256'): ['*.dataset.data_prefix.seg_map_path'],
    ('duke_dme/compact', 'duke_dme/compact_graded'): ['*_dataloader.dataset.pipeline*'],
    ('duke_dme/columns', 'duke_dme/columns_graded'): ['*_dataloader.dataset.pipeline*'],
    ('duke_dme/native', 'duke_dme/native_paper256'): ['*.dataset.data_prefix.seg_map_path'],
}  # fmt: skip


def settings(name):
    cfg = copy.deepcopy(config(name))
    dataset = cfg.train_dataloader.dataset
    kinds = [step.type for step in dataset.pipeline]
    dataset.pipeline = dict(zip(kinds, dataset.pipeline, strict=True))
    return deciding_settings(cfg), kinds, cfg.get('load_from')


@pytest.mark.parametrize(('before', 'after'), ADDED)
def test_a_recipe_config_changes_one_ingredient_of_another(before, after):
    (old, old_kinds, old_weights), (new, new_kinds, new_weights) = settings(before), settings(after)
    changed = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    patterns = ADDED[before, after]
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in changed)
    assert all(any(fnmatch(name, pattern) for name in changed) for pattern in patterns)
    longer, shorter = sorted((old_kinds, new_kinds), key=len, reverse=True)
    assert [kind for kind in longer if kind in shorter] == shorter  # the order of the others stays
    assert (old_weights == new_weights) == (not after.endswith('pspnet_hrf')) and old_weights is None


@pytest.mark.parametrize('name', ['compact', 'native'])
def test_training_sees_what_prediction_sees(name, tmp_path):
    cfg = copy.deepcopy(config(f'duke_dme/{name}'))
    steps = cfg.train_dataloader.dataset.pipeline
    steps = steps[: [step.type for step in steps].index('StandardizeScan') + 1]
    for step in steps:
        if 'prob' in step:
            step.prob = 0.0
    scan = np.random.default_rng(0).integers(1, 255, (496, 768), dtype=np.uint8)
    paths = {key: str(tmp_path / f'{key}.png') for key in ('img_path', 'seg_map_path')}
    cv2.imwrite(paths['img_path'], scan)
    cv2.imwrite(paths['seg_map_path'], scan // 128)
    with seeded_draws(0):
        trained = Compose(steps)(dict(**paths, label_map=None, reduce_zero_label=False, seg_fields=[]))['img']
    model = MODELS.build(cfg.model).eval()
    seen = []
    model.logits = lambda scans: seen.append(scans) or torch.zeros(len(scans), 2, *scans.shape[2:])
    model.predict(torch.from_numpy(scan)[None, None].float())
    assert seen[0].shape[2:] == trained.shape == tuple(cfg.model.working_size or (496, 768))
    # Pillow's resize rounds to whole gray values; without antialiasing the two would be far apart on noise.
    assert np.abs(seen[0][0, 0].numpy() - trained).mean() < 0.05 and seen[0].std() > 0.9
