"""Ending a training early without losing anything: by a signal, or because it has gone wrong."""

import math
import signal
import threading
import time
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import IterBasedTrainLoop
from mmseg.registry import HOOKS

from octfluid.engine.checkpoint import last_checkpoint
from octfluid.engine.hooks import DATA_BATCH
from octfluid.utils.errors import Interrupted, WorkError

SECONDS_TO_INSIST = 1.0
"""A second signal ends the training at once, but not so soon after the first: launchers repeat what a terminal sends."""


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
            raise self._end(runner, number)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """End if asked to; the checkpoint was written before."""
        if number := self._agreed():
            raise self._end(runner, number)

    def after_train(self, runner: Any) -> None:
        """Leave signals to what was there before."""
        self.leave_signals()
        if self.number:
            raise self._end(runner, self.number)

    def leave_signals(self) -> None:
        """Put the earlier handlers back; a training that fails never reaches `after_train`, so its caller does it."""
        while self.earlier:
            signal.signal(*self.earlier.popitem())

    def _end(self, runner: Any, number: int) -> Interrupted:
        found = last_checkpoint(runner.work_dir)
        way_on = f'--resume goes on from {found}' if found else 'no checkpoint had been written'
        return Interrupted(number, f'{Interrupted(number)} after {runner.iter} iterations; {way_on}')

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
