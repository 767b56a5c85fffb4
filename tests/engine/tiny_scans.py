"""The compact recipe made minute, on phantoms: for tests of what only a `ScanSegmentor` can do."""

from pathlib import Path

import torch

from octfluid.engine.config import build_network, load_config
from octfluid.engine.run import test
from octfluid.records.record import read_record

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'duke_dme' / 'compact.py'


def scan_options(root):
    """Overrides that make the compact recipe a minute network on the phantoms in `root`."""
    return {
        'data_root': str(root),
        **{f'{loader}_dataloader.dataset.{key}': value for loader in ('train', 'val')
           for key, value in (('type', 'PhantomDataset'), ('scan_size', (64, 64)))},
        **{f'{loader}_dataloader.num_workers': 0 for loader in ('train', 'val')},
        'train_dataloader.dataset.pipeline.2.scale': (48, 40),
        'train_dataloader.dataset.pipeline.9.transforms.0.scale': (48, 40),
        'train_dataloader.dataset.pipeline.11.crop_size': (32, 32),
        'train_dataloader.batch_size': 2,
        'model.working_size': (40, 48),
        'model.data_preprocessor.size': (32, 32),
        'model.backbone.channels': (4, 8),
        'model.decode_head.in_channels': 4,
        'model.decode_head.channels': 4,
        'model.auxiliary_head': None,
        'train_cfg.max_iters': 12,
        'train_cfg.val_interval': 12,
        'default_hooks.checkpoint.interval': 6,
        'visualizer.vis_backends': [{'type': 'LocalVisBackend'}],
    }  # fmt: skip


def score_scans(checkpoints, folder, options, **arguments):
    """Score checkpoints of the minute recipe; returns their record."""
    return read_record(
        test(load_config(CONFIG, options, split='heldout'), list(map(str, checkpoints)), str(folder), **arguments)
    )


def random_network(options, seed):
    """Return the minute network with random weights that mark some fluid, in evaluation."""
    torch.manual_seed(seed)
    model = build_network(load_config(CONFIG, options))
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2)
    return model.eval()


def save(model, path, **more):
    """Write a network's weights as a checkpoint; returns its path."""
    torch.save({'state_dict': model.state_dict(), **more}, path)
    return path


SMOKE = CONFIG.parents[1] / 'smoke/phantom.py'
_RESIZED = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
            dict(type='LoadAnnotations'), dict(type='PackFluidInputs')]  # fmt: skip
_SEGFORMER = {
    'model.backbone': dict(_delete_=True, type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4),
    'model.decode_head': dict(
        _delete_=True, type='SegformerHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_classes=2
    ),
}
_THREE = dict(classes=('background', 'irf', 'srf'))
KINDS = {
    'windows': {'val_dataloader.dataset.pipeline': _RESIZED,
                'model.test_cfg': dict(mode='slide', crop_size=(64, 48), stride=(32, 40))},
    'segformer': _SEGFORMER,
    'sigmoid': {'model.decode_head.out_channels': 1},
    'three classes': {'model.decode_head.num_classes': 3, 'train_dataloader.dataset.metainfo': _THREE,
                      'val_dataloader.dataset.metainfo': _THREE},
}  # fmt: skip
"""Segmentors of MMSegmentation, made of the smoke config by overrides."""


def segmentor(kind, tiny_options):
    """Return config file and options of one of `KINDS`, minute, on the phantoms."""
    small = {key: value for key, value in tiny_options.items() if not key.startswith('model.auxiliary_head')}
    return SMOKE, {**small, 'model.auxiliary_head': None, **KINDS[kind]}


def random_weights(config, options, path, seed=0):
    """Write weights of a config's network that mark a part of a scan."""
    torch.manual_seed(seed)
    model = build_network(load_config(config, options)).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2)
    return save(model, path)
