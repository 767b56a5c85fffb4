"""Hooks of every run: reproducible steps, plain checkpoints, initial weights that fit, a progress bar, test overlays."""

import logging
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop
from mmseg.registry import HOOKS
from torch import nn

from octfluid.engine.checkpoint import fit

DATA_BATCH = dict | tuple | list | None
_PARTS = ('values', 'counts')  # of a scalar's history


def bare_model(runner: Any) -> nn.Module:
    """Return a runner's model without its wrapper for several processes or for test-time augmentation."""
    model = runner.model
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def is_training(runner: Any) -> bool:
    """Return whether a Runner trains, rather than only validates or tests."""
    return isinstance(runner._train_loop, BaseLoop)


@HOOKS.register_module()
class StepSeedHook(Hook):
    """Seed every generator with (run seed, iteration, rank) before each training step.

    What a step draws, such as dropout, is then the same in a run that was interrupted.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None) -> None:
        """Seed Python, NumPy and torch (CPU and CUDA)."""
        seed = int(np.random.SeedSequence((runner.seed, runner.iter, get_rank(), 1)).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


@HOOKS.register_module()
class InitialWeightsHook(Hook):
    """Refuse weights that fit only in part; mmengine itself only warns.

    It also keeps checkpoints free of pickled classes: the history of scalars, `HistoryBuffer` objects in mmengine's files, is
    kept as tensors under ``history``.

    Args:
        reinit: Prefixes of parameters that start from random values when fine-tuning, such as ``'decode_head.conv_seg'``.
    """

    priority = 'VERY_LOW'

    def __init__(self, reinit: Sequence[str] = ()) -> None:
        self.reinit = tuple(reinit)

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Check the weights, and turn the history back into what mmengine's resume expects.

        Raises:
            InputError: A tensor is missing, unexpected, of another shape or not finite.
        """
        name = Path(str(runner._load_from or runner.work_dir)).name
        reinit = () if runner._resume else self.reinit
        checkpoint['state_dict'] = fit(checkpoint['state_dict'], bare_model(runner), name, reinit)
        checkpoint.get('meta', {}).pop('config', None)  # mmengine's resume would run it as Python
        if scalars := checkpoint.get('history'):
            buffers = {key: HistoryBuffer(*(entry[part].tolist() for part in _PARTS)) for key, entry in scalars.items()}
            checkpoint['message_hub'].update(log_scalars=buffers, resumed_keys=dict.fromkeys(scalars, True))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Keep the scalars as two tensors each, and of the rest what `CheckpointHook` must remember."""
        hub = runner.message_hub
        checkpoint['history'] = {
            name: dict(zip(_PARTS, map(torch.from_numpy, buffer.data), strict=True)) for name, buffer in hub.log_scalars.items()
        }
        kept = {name: value for name, value in hub.runtime_info.items() if name.startswith(('best_', 'keep_ckpt_ids'))}
        checkpoint['message_hub'] = dict(log_scalars={}, runtime_info=kept, resumed_keys={})


@HOOKS.register_module()
class ProgressHook(Hook):
    """Progress bars with the time left, where stderr is a terminal; elsewhere mmengine's log lines carry the time left."""

    def __init__(self) -> None:
        self.bar = None
        self.tasks: list = []

    def _start(self, runner: Any, title: str, total: int, done: int = 0) -> None:
        if not (is_main_process() and sys.stderr.isatty()):
            return
        if self.bar is None:
            from rich.console import Console
            from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

            columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
            # A scan may take longer than the half minute from which rich would estimate the time left.
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600)
            self.bar.start()
            self._log_to_stderr(runner)
        self.tasks.append(self.bar.add_task(title, total=total, completed=done))

    def _stop(self, runner: Any) -> None:
        if self.bar is None:
            return
        self.bar.remove_task(self.tasks.pop())
        if not self.tasks:
            self.bar.stop()
            self.bar = None
            self._log_to_stderr(runner)

    @staticmethod
    def _log_to_stderr(runner: Any) -> None:
        """Send log lines to what stderr is now, which a bar replaces: otherwise the two overwrite each other."""
        for handler in runner.logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setStream(sys.stderr)

    def before_train(self, runner: Any) -> None:
        """Show the training bar."""
        self._start(runner, 'training', runner.max_iters, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Remove the training bar."""
        self._stop(runner)

    def _before_epoch(self, runner: Any, mode: str = 'train') -> None:
        if mode != 'train':
            loader = runner.val_dataloader if mode == 'val' else runner.test_dataloader
            self._start(runner, 'scoring' if mode == 'val' else 'testing', len(loader))

    def _after_epoch(self, runner: Any, mode: str = 'train') -> None:
        if mode != 'train':
            self._stop(runner)

    def _after_iter(self, *_: Any, **__: Any) -> None:
        if self.bar is not None:
            self.bar.advance(self.tasks[-1])


@HOOKS.register_module()
class OverlayHook(Hook):
    """Write an overlay picture of every tested scan.

    Args:
        out_dir: Folder for ``<name>.png``.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """Draw prediction and ground truth, at the ground truth's size, over each scan of the batch."""
        from octfluid.visualization.gallery import scan_overlay
        from octfluid.visualization.overlay import save_png

        for sample in outputs:
            prediction = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            truth = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            save_png(self.out_dir / f'{sample.name}.png', scan_overlay(sample.name, sample.img_path, prediction, truth))
