"""Hooks of every run: reproducible steps, plain checkpoints, initial weights that fit, a progress bar, test overlays."""

import logging
import random
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
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
SECONDS_BETWEEN_LINES = 60


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

    Dropout and what else a step draws is then the same whether or not the run was interrupted, without storing the states of
    the generators.
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

    It also keeps checkpoints free of pickled classes, so that they load with ``weights_only=True`` and without mmengine:
    the scalar history, which mmengine stores as `HistoryBuffer` objects, is kept as tensors under ``history``.

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
        if 'history' in checkpoint:
            scalars = checkpoint['history']
            checkpoint['message_hub'].update(
                log_scalars={
                    key: HistoryBuffer(entry['values'].tolist(), entry['counts'].tolist()) for key, entry in scalars.items()
                },
                resumed_keys=dict.fromkeys(scalars, True),
            )

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Keep the scalars as two tensors each, and of the rest what `CheckpointHook` must remember."""
        hub = runner.message_hub
        checkpoint['history'] = {
            name: dict(zip(('values', 'counts'), map(torch.from_numpy, buffer.data), strict=True))
            for name, buffer in hub.log_scalars.items()
        }
        kept = {name: value for name, value in hub.runtime_info.items() if name.startswith(('best_', 'keep_ckpt_ids'))}
        checkpoint['message_hub'] = dict(log_scalars={}, runtime_info=kept, resumed_keys={})


@HOOKS.register_module()
class ProgressHook(Hook):
    """Progress bars with the time left, where stderr is a terminal; elsewhere the log lines carry the time left.

    mmengine logs every tenth scan only, which may take many minutes, so that scoring gets lines of its own.
    """

    def __init__(self) -> None:
        self.bar = None
        self.tasks: list = []
        self.handlers: list[logging.StreamHandler] = []
        self.begun = self.said = 0.0

    def _start(self, runner: Any, title: str, total: int, done: int = 0) -> None:
        self.begun = self.said = time.monotonic()
        if not (is_main_process() and sys.stderr.isatty()):
            return
        if self.bar is None:
            self._open_bar(runner)
        self.tasks.append(self.bar.add_task(title, total=total, completed=done))

    def _open_bar(self, runner: Any) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        left = (TextColumn('left'), TimeRemainingColumn())
        # A scan may take longer than the half minute from which rich would estimate the time left.
        self.bar = Progress(*columns, *left, console=Console(stderr=True), transient=True, speed_estimate_period=600)
        self.bar.start()
        # Log lines must go through the bar's own stream, or the two overwrite each other.
        self.handlers = [h for h in runner.logger.handlers if type(h) is logging.StreamHandler]
        for handler in self.handlers:
            handler.setStream(sys.stderr)

    def _stop(self) -> None:
        if self.bar is None:
            return
        self.bar.remove_task(self.tasks.pop())
        if not self.tasks:
            self.bar.stop()
            self.bar = None
            for handler in self.handlers:
                handler.setStream(sys.stderr)

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.advance(self.tasks[-1])

    def _scored(self, runner: Any, done: int, total: int) -> None:
        """Advance the bar; without one, log how far scoring is, at most once in `SECONDS_BETWEEN_LINES`."""
        self._advance()
        now = time.monotonic()
        if self.bar is None and done < total and now - self.said >= SECONDS_BETWEEN_LINES:
            left = timedelta(seconds=round((now - self.begun) / done * (total - done)))
            runner.logger.info(f'scored {done} of {total}, {left} left')
            self.said = now

    def before_train(self, runner: Any) -> None:
        """Show the training bar."""
        self._start(runner, 'training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: dict | None = None) -> None:
        """Advance the training bar."""
        self._advance()

    def after_train(self, runner: Any) -> None:
        """Remove the training bar."""
        self._stop()

    def before_val(self, runner: Any) -> None:
        """Show the scoring bar, below the training's where there is one."""
        self._start(runner, 'scoring', len(runner.val_dataloader))

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """Advance the scoring bar."""
        self._scored(runner, batch_idx + 1, len(runner.val_dataloader))

    def after_val(self, runner: Any) -> None:
        """Remove the scoring bar."""
        self._stop()

    def before_test(self, runner: Any) -> None:
        """Show the test bar."""
        self._start(runner, 'testing', len(runner.test_dataloader))

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """Advance the test bar."""
        self._scored(runner, batch_idx + 1, len(runner.test_dataloader))

    def after_test(self, runner: Any) -> None:
        """Remove the test bar."""
        self._stop()


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
