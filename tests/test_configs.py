import ast
import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import HOOKS, METRICS, MODELS, PARAM_SCHEDULERS

from octfluid.engine.config import KNOWN_KEYS, load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
BASE = CONFIGS / '_base_'
EXPERIMENTS = sorted(path for path in CONFIGS.rglob('*.py') if BASE not in path.parents)
# Every config but table 2's, whose rows are below, by folder: what is not here, or is missing, is noticed.
LISTED = {
    'ablations': (
        'ce_dice_25_75', 'ce_dice_50_50', 'ce_dice_75_25', 'deeplabv3_head', 'fcn_head', 'rotate15', 'row10_4000',
    ),
    'duke_dme': ('compact', 'compact_paper256', 'native', 'native_paper256'),
    'duke_dme/beside': (
        'native_resolution', 'pspnet_hrf', 'pspnet_scratch', 'unet_s5-d16', 'whole_frame', 'wide',
    ),
    'duke_dme/steps': (
        '0_plain', '1_dice', '2_fluid_windows', '3_flip', '4_geometry', '5_gray', '6_average', '7_deep_supervision',
        '8_mirror',
    ),
    'external': ('compact',),
    'own_data': ('compact',),
    'hrf': ('deeplabv3', 'fcn', 'pspnet'),
    'smoke': ('duke_dme', 'phantom'),
    'table1': ('deeplabv3', 'fcn', 'pspnet'),
}  # fmt: skip
TABLE1 = [path for path in EXPERIMENTS if path.parent.name == 'table1']
TABLE2 = [path for path in EXPERIMENTS if path.parent.name == 'table2']
ABLATIONS = [path for path in EXPERIMENTS if path.parent.name == 'ablations']

CE = dict(type='CrossEntropyLoss', use_sigmoid=False)
DICE = dict(type='DiceLoss', use_sigmoid=False)
FOCAL = dict(type='SigmoidFocalLoss', gamma=2.0, alpha=0.5)
SGD = dict(type='SGD', lr=0.01, momentum=0.9)
ADAM = dict(type='Adam', lr=0.01)
# The paper's table 2 with what its notebooks say beside it. The loss rows replace the losses of both heads with weight 1; the
# others keep U-Net's: 1 on the decode head, 0.4 on the auxiliary head.
# row: iterations, crop, flip, loss, weight on the auxiliary head, optimizer, weight decay, mIoU, mDice
ROWS = {
    1: (200, None, False, CE, 0.4, SGD, 5e-4, 0.6855, 0.7721),
    2: (400, None, False, CE, 0.4, SGD, 5e-4, 0.6371, 0.7173),
    3: (400, None, True, CE, 0.4, SGD, 5e-4, 0.6263, 0.7040),
    4: (400, 192, False, CE, 0.4, SGD, 5e-4, 0.6190, 0.6951),
    5: (400, 224, False, CE, 0.4, SGD, 5e-4, 0.6299, 0.7106),
    6: (400, 320, False, CE, 0.4, SGD, 5e-4, 0.7567, 0.8401),
    7: (400, 320, False, DICE, 1.0, SGD, 5e-4, 0.7560, 0.8395),
    8: (400, 320, False, FOCAL, 1.0, SGD, 5e-4, 0.7429, 0.8280),
    9: (400, 320, False, CE, 0.4, ADAM, 5e-4, 0.4963, 0.4981),
    10: (400, 320, False, CE, 0.4, SGD, 1e-4, 0.7600, 0.8430),
    11: (400, 320, False, CE, 0.4, SGD, 1e-3, 0.7464, 0.8312),
}


# The paper's table 1: the mean over the images of the foreground IoU.
ZERO_SHOT = {'pspnet': 0.0022, 'fcn': 0.0008, 'deeplabv3': 0.0016}


def row_of(path):
    return int(path.name.split('_')[0])


def build_model(cfg):
    """Build a network without memory for its weights, which takes no time."""
    init_default_scope(cfg.default_scope)
    with torch.device('meta'):
        return MODELS.build(cfg.model)


def build_everything(cfg):
    """Build whatever a training builds from a config, but for the data themselves; returns the network."""
    model = build_model(cfg)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    for scheduler in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        Compose(loader.dataset.pipeline)
    METRICS.build(cfg.val_evaluator)
    for hook in (*cfg.default_hooks.values(), *cfg.custom_hooks):
        HOOKS.build(hook)
    return model


def config_of_bases(tmp_path, *names):
    """Resolve a config that consists of files of `configs/_base_`."""
    path = tmp_path / 'joined.py'
    path.write_text(f'_base_ = {[str(BASE / f"{name}.py") for name in names]}\n')
    return load_config(path)


def test_the_configs_are_those_that_the_tests_below_see():
    found = {folder: [] for folder in (*LISTED, 'table2')}
    for path in EXPERIMENTS:
        found[path.parent.relative_to(CONFIGS).as_posix()].append(path.stem)
    del found['table2']
    assert found == {folder: list(names) for folder, names in LISTED.items()}
    assert [row_of(path) for path in TABLE2] == list(ROWS)


@pytest.mark.parametrize('path', EXPERIMENTS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_config_builds(path):
    cfg = load_config(path)
    build_everything(cfg)
    auxiliary = cfg.model.auxiliary_head or []
    heads = [cfg.model.decode_head, *(auxiliary if isinstance(auxiliary, list) else [auxiliary])]
    assert [head.num_classes for head in heads] == [2] * len(heads)
    assert cfg.test_dataloader == cfg.val_dataloader
    assert cfg.test_evaluator == cfg.val_evaluator == dict(type='FluidMetric')
    assert cfg.train_dataloader.dataset.subset == 'train'
    assert cfg.val_dataloader.dataset.subset == 'val'
    assert cfg.randomness.seed == 0


@pytest.mark.parametrize('path', EXPERIMENTS, ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_every_config_opens_with_its_command(path):
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    commands = [line.strip() for line in docstring.splitlines() if 'python tools/t' in line]
    name = path.relative_to(ROOT).as_posix()
    if path.parent.name in ('table1', 'external'):
        assert commands == [f'python tools/test.py {name} CHECKPOINT --split all']
        return
    expected = f'python tools/train.py {name}'
    assert commands[0].removesuffix(' --amp').removesuffix(' --split paper-inner1') == expected
    # What follows is the same training from other weights.
    assert all(command.startswith(f'{expected} --init ') for command in commands[1:])


@pytest.mark.parametrize('path', TABLE2, ids=lambda path: path.stem)
def test_lab_note_gives_the_paper_score(path):
    row = row_of(path)
    text = path.read_text()
    with open(ROOT / 'octfluid' / 'evaluation' / 'paper_table2.csv', newline='') as file:
        published = {int(line['row']): line for line in csv.DictReader(line for line in file if not line.startswith('#'))}
    scores = tuple(float(published[row][key]) / 100 for key in ('mIoU', 'mDice'))
    assert scores == pytest.approx(ROWS[row][-2:], abs=1e-12)
    assert f'Table 2, row {row}:' in text
    assert re.search(r'Paper: mIoU (\S+), mDice (\S+) ', text).groups() == tuple(f'{score:.4f}' for score in scores)


@pytest.mark.parametrize('path', TABLE1, ids=lambda path: path.stem)
def test_table_1_applies_the_vessel_network_as_it_was_trained(path):
    """Network and test pipeline are those of the HRF training of the same head; scans and their size are those of table 2."""
    cfg, vessels, fluid = load_config(path), load_config(CONFIGS / 'hrf' / path.name), load_config(TABLE2[0])
    assert cfg.model == vessels.model
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(256, 256), stride=(170, 170))
    assert cfg.test_dataloader.dataset.pipeline == vessels.test_dataloader.dataset.pipeline
    assert cfg.test_dataloader.dataset.pipeline[1] == dict(type='Resize', scale=(2336, 3504), keep_ratio=True)
    assert {**cfg.test_dataloader.dataset, 'pipeline': None} == {**fluid.test_dataloader.dataset, 'pipeline': None}
    assert cfg.split == 'paper'
    resized = Compose(cfg.test_dataloader.dataset.pipeline[1:2])(dict(img=np.zeros((256, 256, 3), np.uint8)))
    assert resized['img_shape'] == (2336, 2336)
    names = [Path(pattern).name for pattern in cfg.init.files]
    assert all(name.startswith(f'{path.stem}_unet_s5-d16_') for name in names) and len(names) == 2
    assert cfg.init.reinit == []
    assert f'Paper: {ZERO_SHOT[path.stem]}, ' in path.read_text()


def expected_train_pipeline(crop, flip):
    return [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='Resize', scale=(512, 512), keep_ratio=True),
        *([dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=0.75)] if crop else []),
        *([dict(type='RandomFlip', prob=0.5, direction='horizontal')] if flip else []),
        dict(type='PackFluidInputs'),
    ]


@pytest.mark.parametrize('path', TABLE2, ids=lambda path: path.stem)
def test_what_a_row_of_table_2_changes(path):
    iterations, crop, flip, loss, auxiliary_weight, optimizer, weight_decay, *_ = ROWS[row_of(path)]
    cfg = load_config(path)
    assert cfg.train_cfg == dict(type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations)
    assert cfg.train_dataloader.dataset.pipeline == expected_train_pipeline(crop, flip)
    assert cfg.model.decode_head.loss_decode == dict(loss, loss_weight=1.0)
    assert cfg.model.auxiliary_head.loss_decode == dict(loss, loss_weight=auxiliary_weight)
    assert cfg.optim_wrapper == dict(type='OptimWrapper', optimizer=dict(optimizer, weight_decay=weight_decay, fused=True))


@pytest.mark.parametrize('path', TABLE2, ids=lambda path: path.stem)
def test_what_all_rows_of_table_2_share(path):
    cfg = load_config(path)
    assert cfg.split == cfg.train_dataloader.dataset.split == cfg.val_dataloader.dataset.split == 'paper'
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = loader.dataset
        assert (dataset.type, dataset.size_dir, dataset.scan_size) == ('DukeDMEDataset', 'paper_256', (256, 256))
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.param_scheduler == [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40_000, by_epoch=False)]
    assert cfg.val_dataloader.dataset.pipeline == [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(512, 512), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackFluidInputs'),
    ]
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(256, 256), stride=(170, 170))
    assert cfg.randomness.seed == 0
    assert cfg.model.decode_head.type == 'PSPHead'
    norms = [cfg.model[part].norm_cfg for part in ('backbone', 'decode_head', 'auxiliary_head')]
    assert norms == [dict(type='BN', requires_grad=True)] * 3
    assert cfg.init.reinit == []
    assert [Path(pattern).name[:18] for pattern in cfg.init.files] == ['pspnet_unet_s5-d16'] * 2


def test_network_of_table_2_has_the_size_of_the_zoo_checkpoint():
    model = build_model(load_config(TABLE2[0]))
    assert len(model.state_dict()) == 172
    assert sum(parameter.numel() for parameter in model.parameters()) == 29_046_276
    assert {type(module).__name__ for module in model.modules() if 'Norm' in type(module).__name__} == {'BatchNorm2d'}


def settings_of(path):
    """All that a run reads of a resolved config, without the variables of its files."""
    cfg = load_config(path).to_dict()
    return {key: cfg[key] for key in KNOWN_KEYS if key in cfg}


def row_10_with(name):
    """Row 10 of table 2 with what the name of an ablation says, and nothing else, changed."""
    expected = settings_of(TABLE2[9])
    model, what = expected['model'], name.split('_')
    if name.startswith('ce_dice_'):
        ce, dice = (int(percent) / 100 for percent in what[2:])
        for head, scale in (('decode_head', 1.0), ('auxiliary_head', 0.4)):
            losses = [dict(CE, loss_weight=scale * ce), dict(DICE, ignore_index=0, loss_weight=scale * dice)]
            model[head]['loss_decode'] = losses
    elif name.endswith('_head'):
        model['decode_head'] = settings_of(CONFIGS / 'hrf' / f'{what[0]}.py')['model']['decode_head']
        expected['init'] = settings_of(CONFIGS / 'table1' / f'{what[0]}.py')['init']
    elif name == 'rotate15':
        pipeline = expected['train_dataloader']['dataset']['pipeline']
        assert [step['type'] for step in pipeline[2:4]] == ['Resize', 'RandomCrop']
        pipeline.insert(3, dict(type='RandomRotate', prob=0.5, degree=15.0, pad_val=0, seg_pad_val=255))
    elif name == 'row10_4000':
        expected['train_cfg'].update(max_iters=4000, val_interval=4000)
    return expected


@pytest.mark.parametrize('path', ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_is_row_10_but_for_what_its_name_says(path):
    assert settings_of(path) == row_10_with(path.stem) != settings_of(TABLE2[9])


@pytest.mark.parametrize('path', [*TABLE1, *ABLATIONS], ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_lab_note_says_where_our_scores_and_run_times_are(path):
    scores = f'docs/results/{path.parent.name}.md'
    assert f'Ours: {scores}. Run time and device: README.md, below the results' in ast.get_docstring(
        ast.parse(path.read_text())
    )
    assert (ROOT / scores).is_file()
    assert '\n| run | work | wall time | device and precision |\n' in (ROOT / 'README.md').read_text()


HEADS = {
    'fcn': dict(type='FCNHead', channels=64, num_convs=1, concat_input=False),
    'pspnet': dict(type='PSPHead', channels=16, pool_scales=(1, 2, 3, 6)),
    'deeplabv3': dict(type='ASPPHead', channels=16, dilations=(1, 12, 24, 36)),
}


@pytest.mark.parametrize('size', ['native', '256'])
@pytest.mark.parametrize('head', HEADS)
def test_every_head_builds_with_both_sizes_of_the_duke_scans(head, size, tmp_path):
    cfg = config_of_bases(
        tmp_path, f'models/{head}_unet_s5-d16', f'datasets/duke_dme_{size}', 'schedules/finetune_400', 'default_runtime'
    )
    model = build_everything(cfg)
    decode_head = cfg.model.decode_head
    assert {key: decode_head[key] for key in HEADS[head]} == HEADS[head]
    assert (decode_head.in_channels, decode_head.in_index, decode_head.num_classes) == (64, 4, 2)
    auxiliary = cfg.model.auxiliary_head
    assert (auxiliary.type, auxiliary.in_channels, auxiliary.in_index, auxiliary.channels) == ('FCNHead', 128, 3, 64)
    assert tuple(model.decode_head.conv_seg.weight.shape) == (2, HEADS[head]['channels'], 1, 1)
    expected = ('native', (496, 768)) if size == 'native' else ('paper_256', (256, 256))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        assert (loader.dataset.size_dir, loader.dataset.scan_size) == expected
    resized = any(step['type'] == 'Resize' for step in cfg.val_dataloader.dataset.pipeline)
    assert resized == (size == '256')


def test_small_network_weighs_cross_entropy_and_foreground_dice_equally():
    cfg = load_config(CONFIGS / 'smoke' / 'phantom.py')
    model = build_model(cfg)
    assert sum(parameter.numel() for parameter in model.parameters()) < 0.5e6
    for head in (model.decode_head, model.auxiliary_head):
        assert [(loss.loss_name, loss.loss_weight) for loss in head.loss_decode] == [('loss_ce', 1.0), ('loss_dice', 1.0)]
        assert head.loss_decode[1].ignore_index == 0
