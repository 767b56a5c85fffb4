"""Ending a training early without losing anything: by a signal, or because it has gone wrong."""

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook

from octfluid.engine.checkpoint import find_own_checkpoints
from octfluid.engine.earlier import set_aside
from octfluid.engine.interrupted import remove_mark
from octfluid.utils.errors import Interrupted, WorkError

DATA_BATCH = dict | tuple | list | None
SECONDS_TO_INSIST = 1.0
"""A second signal ends the training at once, but not so soon after the first: launchers pass on what a terminal sends, too."""
_NAMES_SHOWN = 8


@dataclass
class Stop:
    """The wish that a training ends after its step.

    Attributes:
        number: Of the signal that asked for it; 0 if none did.
        heeded: A training looks at ``number`` after every step; else a signal ends the work at once.
        asked: When, by `time.monotonic`.
    """

    number: int = 0
    heeded: bool = False
    asked: float = 0.0

    def ask(self, number: int, _: Any = None) -> None:
        """Handle a signal.

        Raises:
            Interrupted: Nobody heeds the wish, or it is repeated.
        """
        insists = self.number and time.monotonic() - self.asked > SECONDS_TO_INSIST
        if not self.heeded or insists:
            raise Interrupted(number)
        if not self.number:
            self.number, self.asked = number, time.monotonic()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Let Ctrl-C, `kill` and an ended session ask while the block runs, where they would end it otherwise."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]
        earlier = {number: signal.signal(number, self.ask) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
        try:
            yield
        finally:
            for number, handler in earlier.items():
                signal.signal(number, handler)


class StopHook(Hook):
    """Heed `Stop`: after a step, write a checkpoint and end; within scoring, end, since the checkpoint is written before it."""

    priority = 'LOWEST'  # the schedule, the average of the weights and `CheckpointHook` come first

    def before_train(self, runner: Any) -> None:
        """Heed from now on, in a folder without another run's checkpoints; and score what an interruption left unscored.

        That is, if the best weights are kept.
        """
        if is_main_process():
            if not runner.iter and (folder := set_aside(runner.work_dir)):
                runner.logger.warning(f'begins anew where a run has left checkpoints: moved to {folder}')
            remove_mark(runner.work_dir)
        runner.state.stop.heeded = True
        choosing = any(isinstance(hook, CheckpointHook) and hook.save_best for hook in runner.hooks)
        if choosing and runner.iter and runner.val_loop is not None and runner.iter % runner.train_loop.val_interval == 0:
            runner.val_loop.run()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: dict | None = None) -> None:
        """Write what a resume needs, if the training ends here or scoring follows, and end if asked to."""
        runner.state.proven = True
        done, number = runner.iter + 1, self._asked(runner)
        scored = runner.val_loop is not None and done % runner.train_loop.val_interval == 0
        if number or scored:
            self._save(runner)
        if number:
            raise Interrupted(number)

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """End if asked to."""
        runner.state.proven = True
        if number := self._asked(runner):
            raise Interrupted(number)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: list | None = None) -> None:
        """Note that a step has worked."""
        runner.state.proven = True

    def after_train(self, runner: Any) -> None:
        """Nothing is lost from here on."""
        runner.state.stop.heeded = False
        if runner.state.stop.number:
            raise Interrupted(runner.state.stop.number)

    def _asked(self, runner: Any) -> int:
        """Return the signal that any of the processes got: all must end after the same step, or some would wait forever."""
        number = runner.state.stop.number
        if get_world_size() == 1:
            return number
        most = torch.tensor(number)
        all_reduce(most, 'max')
        return int(most)

    def _save(self, runner: Any) -> None:
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and hook.save_optimizer:
                due = hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
                if not (due or self.is_last_train_iter(runner)):
                    hook._save_checkpoint(runner)


class FiniteHook(Hook):
    """Stop a training whose loss or weights are no numbers any more, before a checkpoint of it replaces a good one."""

    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: DATA_BATCH = None, outputs: dict | None = None) -> None:
        """Look at the loss.

        Raises:
            WorkError: It is NaN or infinite; names the scans of the batch.
        """
        loss = torch.as_tensor((outputs or {}).get('loss', 0.0)).item()
        if not math.isfinite(loss):
            where = f'iteration {runner.iter + 1}, on {_names(data_batch)}'
            raise WorkError(f'the loss is {loss} at {where}; {_last_good(runner)}')

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Look at the weights: a finite loss may have had a gradient that was not.

        Raises:
            WorkError: One is NaN or infinite.
        """
        for name, tensor in checkpoint['state_dict'].items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise WorkError(f'{name} is not finite after iteration {runner.iter + 1}; {_last_good(runner)}')


def _last_good(runner: Any) -> str:
    found = find_own_checkpoints(runner.work_dir)
    last = f'the last good checkpoint is {found[0]}' if found else 'no checkpoint had been written'
    return f'{last}; check the scans (tools/check_dataset.py), or lower the learning rate'


def _names(data_batch: Any) -> str:
    samples: Sequence[Any] = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
    paths = [str(getattr(sample, 'img_path', '?')) for sample in samples]
    return ', '.join(paths[:_NAMES_SHOWN]) + (', ...' if len(paths) > _NAMES_SHOWN else '') or 'unknown scans'
