"""Hooks of every run: reproducible steps, plain checkpoints, weights that fit, an early end without loss, and more."""

import copy
import math
import random
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, IterBasedTrainLoop
from mmseg.registry import HOOKS
from torch import nn

from octfluid.engine.checkpoint import fit, last_checkpoint, load_weights, read_checkpoint
from octfluid.io.results import write_png
from octfluid.models.segmentor import use_mirror
from octfluid.utils.atomic import atomic_path
from octfluid.utils.errors import Interrupted, WorkError

DATA_BATCH = dict | tuple | list | None
_PARTS = ('values', 'counts')  # of a scalar's history
SECONDS_TO_INSIST = 1.0
"""A second signal ends the training at once, but not so soon after the first: launchers repeat what a terminal sends."""


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

        for sample in outputs:
            prediction = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            truth = sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8)
            with atomic_path(self.out_dir / f'{sample.name}.png') as temporary:
                write_png(temporary, scan_overlay(sample.name, sample.img_path, prediction, truth))


@HOOKS.register_module()
class EnsembleHook(Hook):
    """In a test, average the probabilities of several checkpoints, or of each scan and its mirror image.

    Args:
        checkpoints: Members of the ensemble other than the one that the Runner loads; its network must be a `ScanSegmentor`.
        mirror: Average over mirror images.
    """

    priority = 'HIGHEST'  # before weights are prepared for speed

    def __init__(self, checkpoints: Sequence[str] = (), mirror: bool = False) -> None:
        self.checkpoints = tuple(checkpoints)
        self.mirror = mirror

    def before_test(self, runner: Any) -> None:
        """Load the other members; raise an InputError for one of another architecture."""
        model = bare_model(runner)
        others = [copy.deepcopy(model) for _ in self.checkpoints]
        for path, other in zip(self.checkpoints, others, strict=True):
            load_weights(other.eval(), read_checkpoint(path)['state_dict'], Path(path).name)
        if others:
            model.join(others)
        if self.mirror:
            use_mirror(model)


@HOOKS.register_module()
class StopHook(Hook):
    """On SIGINT, SIGTERM or SIGHUP finish the step, write a checkpoint and end; `--resume` goes on from there.

    Before a validation it writes a checkpoint, too, so that a scoring that is cut short costs no training.
    """

    priority = 'LOWEST'  # the schedule, the average of the weights and `CheckpointHook` come first

    def __init__(self) -> None:
        self.number, self.asked = 0, 0.0
        self.earlier: dict[int, Any] = {}

    def before_train(self, runner: Any) -> None:
        """Listen for signals; a signal that is ignored (nohup) stays so."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) != signal.SIG_IGN:
                    self.earlier[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, _: Any) -> None:
        if self.number and time.monotonic() - self.asked > SECONDS_TO_INSIST:
            raise Interrupted(number)
        if not self.number:
            self.number, self.asked = number, time.monotonic()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: dict | None = None) -> None:
        """Write what a resume needs, if the training ends here or scoring follows, and end if asked to."""
        number, loop = self._agreed(), runner.train_loop
        by_iteration = isinstance(loop, IterBasedTrainLoop) and runner._val_loop is not None
        if number or (by_iteration and self.every_n_train_iters(runner, loop.val_interval)):
            self._save(runner)
        if number:
            raise self._end(runner, number, runner.iter + 1)  # counted after the hooks

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """End if asked to; the checkpoint was written before."""
        if number := self._agreed():
            raise self._end(runner, number, runner.iter)

    def after_train(self, runner: Any) -> None:
        """Leave signals to what was there before."""
        self.leave_signals()
        if self.number:
            raise self._end(runner, self.number, runner.iter)

    def leave_signals(self) -> None:
        """Put the earlier handlers back; a training that fails never reaches `after_train`, so its caller does it."""
        while self.earlier:
            signal.signal(*self.earlier.popitem())

    def _end(self, runner: Any, number: int, iterations: int) -> Interrupted:
        found = last_checkpoint(runner.work_dir)
        way_on = f'--resume goes on from {found}' if found else 'no checkpoint had been written'
        return Interrupted(number, f'{Interrupted(number)} after {iterations} iterations; {way_on}')

    def _agreed(self) -> int:
        """Return the signal that any of the processes got: all must end after the same step, or some would wait for ever."""
        if get_world_size() == 1:
            return self.number
        most = torch.tensor(self.number)
        all_reduce(most, 'max')
        return int(most)

    def _save(self, runner: Any) -> None:
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_optimizer and not hook.by_epoch:
                due = hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
                if not (due or self.is_last_train_iter(runner)):
                    hook._save_checkpoint(runner)


@HOOKS.register_module()
class FiniteHook(Hook):
    """Stop a training whose loss or weights are no numbers any more, before a checkpoint of it replaces a good one."""

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: dict | None = None) -> None:
        """Raise a WorkError that names the scans of the batch if the loss is NaN or infinite."""
        loss = torch.as_tensor((outputs or {}).get('loss', 0.0)).item()
        if not math.isfinite(loss):
            samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
            names = ', '.join(str(getattr(sample, 'img_path', '?')) for sample in samples) or 'unknown scans'
            raise WorkError(f'the loss is {loss} at iteration {runner.iter + 1}, on {names}; {_last_good(runner)}')

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Raise a WorkError if a weight is NaN or infinite: a finite loss may have had a gradient that was not."""
        for name, tensor in checkpoint['state_dict'].items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise WorkError(f'{name} is not finite after iteration {runner.iter + 1}; {_last_good(runner)}')


def _last_good(runner: Any) -> str:
    found = last_checkpoint(runner.work_dir)
    last = f'the last good checkpoint is {found}' if found else 'no checkpoint had been written'
    return f'{last}; look at the scans, or lower the learning rate'
