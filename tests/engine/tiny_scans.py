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
