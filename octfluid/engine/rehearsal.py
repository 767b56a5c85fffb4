"""One scan scored before a training begins, so that a config that cannot be scored is refused now and not after hours."""

from typing import Any

import torch
from mmengine.runner import Runner

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.engine.misfit import naming_misfits


def rehearse_scoring(runner: Runner) -> None:
    """Take the first scan to be scored through its pipeline and the network, of slide inference one window alone.

    Neither weights nor random numbers of the run are changed.

    Args:
        runner: With its weights in place, before its first step.

    Raises:
        InputError: A setting does not fit; names it as far as the error does.
    """
    loader, model = runner.val_dataloader, runner.bare_model
    with naming_misfits(f'{runner.cfg.filename}: scoring, which follows the training, would fail'), seeded_draws(0):
        sample = loader.dataset[0]
        if model.test_cfg.mode == 'slide':
            _keep_window(sample, model.test_cfg.crop_size)
        was_training = model.training
        model.eval()
        with torch.no_grad():
            model.val_step(loader.collate_fn([sample]))
        model.train(was_training)


def _keep_window(sample: dict[str, Any], size: tuple[int, int]) -> None:
    """Cut all of a sample away but for its first window: a photograph has hundreds."""
    sample['inputs'] = sample['inputs'][..., : size[0], : size[1]]
    shape = tuple(sample['inputs'].shape[-2:])
    sample['data_samples'].set_metainfo(dict(ori_shape=shape, img_shape=shape))
