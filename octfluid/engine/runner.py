"""mmengine's Runner with safe checkpoints, strict initial weights and a quiet console."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import is_main_process, master_only
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from octfluid.engine.allocator import reuse_freed_memory
from octfluid.engine.checkpoint import (
    InitialWeights,
    describe_weights,
    find_own_checkpoints,
    load_initial_weights,
    load_weights,
    read_checkpoint,
)
from octfluid.engine.data_state import digest
from octfluid.engine.optim import keep_logits_float32, prepare_weights, score_in
from octfluid.engine.rehearsal import rehearse_scoring
from octfluid.engine.resumable import inexact, require_resumable
from octfluid.engine.stopping import FiniteHook, Stop, StopHook
from octfluid.records.fingerprint import resume_settings
from octfluid.utils.atomic import atomic_path
from octfluid.utils.errors import InputError

WINDOWS_AT_ONCE = 8


@dataclass
class RunState:
    """What hooks and the record learn about a run while it goes on.

    Attributes:
        init: Initial weights, or None when training began from random ones.
        wall_seconds: Time spent on this run by earlier processes that it resumes.
        metrics: Latest scores, or None before the first evaluation.
        data_lines: What the integrity check found, for the log.
        scores_only: No training follows: the weights may be prepared for speed.
        data: What `octfluid.engine.data_state.data_state` says of the scans and masks, for later resumes; None: nobody asked.
        stop: Lets a signal end the training.
        begun: Weights are in place and the first batch is next: from here on, a failure is one of the work.
        proven: A step has worked, so settings and data fit each other: from here on, they are not what a failure is about.
    """

    init: InitialWeights | None = None
    wall_seconds: float = 0.0
    metrics: dict[str, float] | None = None
    data_lines: list[str] = field(default_factory=list)
    scores_only: bool = False
    data: dict[str, Any] | None = None
    stop: Stop = field(default_factory=Stop)
    begun: bool = False
    proven: bool = False


def _not_about_file_clients(log_record: logging.LogRecord) -> bool:
    """Drop mmengine's notices to its own developers."""
    return not log_record.getMessage().startswith(('"FileClient" will be', '"HardDiskBackend" is'))


def _leave_disk_errors_to_checkpoints(handler: logging.Handler) -> None:
    """Keep a handler from printing a traceback for every line that a full disk refuses."""
    report = handler.handleError

    def handle(log_record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            report(log_record)

    handler.handleError = handle


def _end_with_parent() -> None:
    """End this process when its parent, and nobody else, sends SIGTERM."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


def _begin_worker(begin: Callable[[int], None] | None, number: int) -> None:
    """Begin a loader's worker: what a terminal or a cluster sends to all processes must not take it from a last step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):  # on Linux, which tells who sent a signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, daemon=True).start()
    if begin is not None:
        begin(number)


class FluidRunner(Runner):
    """The runner of every training and test.

    Differs from mmengine's in that checkpoints are read as tensors and plain values only, loaded strictly and written whole
    or not at all; that a resume takes the last checkpoint that can be read; and that the console is spared the environment
    and config dump, which go to the log file.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state = RunState()
        super().__init__(*args, **kwargs)
        if is_main_process():
            self._set_console_level(logging.INFO)

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; until the runner is built, only warnings reach the console."""
        self.logger = super().build_logger(*args, **kwargs)
        self._set_console_level(logging.WARNING)
        for handler in self.logger.handlers:
            _leave_disk_errors_to_checkpoints(handler)
        return self.logger

    def _set_console_level(self, level: int) -> None:
        for handler in self.logger.handlers:
            if type(handler) is logging.StreamHandler:
                handler.setLevel(level)
                handler.addFilter(_not_about_file_clients)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Seed as mmengine does; what cuBLAS needs to be deterministic must be said before it is first used."""
        if deterministic:
            os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def register_hooks(self, *args: Any, **kwargs: Any) -> None:
        """Register the config's hooks, and those that no config can do without."""
        super().register_hooks(*args, **kwargs)
        self.register_hook(FiniteHook())
        self.register_hook(StopHook())

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> DataLoader:
        """Build a loader whose workers leave it to the main process to heed signals, and end with it."""
        loader = Runner.build_dataloader(*args, **kwargs)
        loader.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)
        return loader

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Prepare memory and its layout, and scoring, before the model is moved and wrapped."""
        if self.cfg.get('reuse_memory') and get_device() == 'cpu' and not reuse_freed_memory():
            self.logger.info('reuse_memory: does nothing with the C library of this system')
        if self.cfg.get('channels_last', False):
            model = model.to(memory_format=torch.channels_last)
            keep_logits_float32(model)
        windows = self.cfg.get('window_batch')
        if windows is not None:
            # Imported here, after `octfluid.register`, which silences what mmseg says when it is imported.
            from octfluid.models.slide import use_window_batches

            if windows == 'auto':
                # A CPU gains nothing from more, and is slower where memory for their features comes from the system anew.
                windows = WINDOWS_AT_ONCE if get_device() != 'cpu' else 3 if self.cfg.get('reuse_memory') else 1
            use_window_batches(model, windows)
        score_in(model, self.cfg.get('scoring_precision', 'fp32'))
        if self.deterministic and get_device() != 'cpu':
            from octfluid.models.deterministic import use_deterministic_operators

            use_deterministic_operators(model)
        return super().wrap_model(model_wrapper_cfg, model)

    @property
    def bare_model(self) -> nn.Module:
        """The model without a distributed wrapper."""
        return self.model.module if is_model_wrapper(self.model) else self.model

    def leave_unscored(self) -> None:
        """Train on all scans there are, with none left to score; the config keeps its validation, as part of its identity."""
        self._val_loop = None

    def only_score(self) -> None:
        """Let no training follow: weights may be prepared for speed, and no average of them is kept.

        A checkpoint's weights are their average already, and `EMAHook` would exchange equal ones.
        """
        self.state.scores_only = True
        self._hooks = [hook for hook in self._hooks if not isinstance(hook, EMAHook)]

    def load_or_resume(self) -> None:
        """Resume, load the checkpoint under test, or load initial weights, whichever the config asks for."""
        if not self._has_loaded and not (self._resume and self._resume_last()):
            self._load()
        if self.state.scores_only:
            self.prepare_scoring()
        elif self.val_loop is not None and self.iter < self.max_iters:
            rehearse_scoring(self)
        self.state.begun = True

    def prepare_scoring(self) -> None:
        """Prepare weights that nothing will train any more: see `octfluid.engine.optim.prepare_weights`."""
        if self.cfg.get('prepare_weights'):
            prepare_weights(self.bare_model, self.cfg.get('scoring_precision', 'fp32'))

    def _load(self) -> None:
        if self._load_from is not None:
            self.load_checkpoint(self._load_from)
        elif self.cfg.get('init'):
            self.state.init = load_initial_weights(self.bare_model, **self.cfg.init)
            self._has_loaded = True

    def _resume_last(self) -> bool:
        """Resume from the last readable checkpoint of the work folder; False when there is none.

        One that can be read, but whose content is not what a training writes, counts as damaged: what broke a name in it would
        as well have broken the file, and the one before gives the same result.
        """
        for path in find_own_checkpoints(self.work_dir):
            try:
                checkpoint = read_checkpoint(path)
            except InputError as error:
                self.logger.warning(f'{error}; taking the checkpoint before it')
                continue
            self._refuse_another_run(path, checkpoint)
            require_resumable(path, checkpoint, self)
            self.resume(str(path))
            for reason in inexact(self):
                self.logger.warning(f'goes on, but not as if it had not been interrupted: {reason}')
            return True
        self.logger.info(f'nothing to resume in {self.work_dir}: starting at iteration 0')
        return False

    def _refuse_another_run(self, path: Path, checkpoint: dict) -> None:
        """Refuse to go on with weights that this config, split and seed would not have made."""
        run = checkpoint.get('run', {})
        earlier = run.get('settings', {})
        for key, value in resume_settings(self.cfg).items():
            # Checkpoints from before it was noted do not say whether they are deterministic.
            if earlier.get(key, value if key == 'deterministic' else None) != value:
                found = 'other config settings' if key == 'config' else f'{key} {earlier.get(key)}, not {value}'
                raise InputError(f'{path}: trained with {found}; resume a run as it was begun, or choose another --work-dir')
        seen = run.get('data_sha256')
        if self.state.data is not None and seen is not None and seen != digest(self.state.data):
            raise InputError(f'{path}: trained on other scans or masks than are there now; begin anew in another --work-dir')
        done = checkpoint['meta']['iter']
        if done > self.max_iters:
            raise InputError(f'{path}: has {done} iterations, more than train_cfg.max_iters={self.max_iters}')

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = True,
        revise_keys: list | None = None,
    ) -> dict:
        """Load a checkpoint's weights into the model, all of them.

        Args:
            filename: A local file.
            map_location: As in `torch.load`.
            strict: Kept for mmengine; loading is always strict.
            revise_keys: Kept for mmengine; only a leading ``module.`` is dropped.

        Returns:
            The checkpoint.

        Raises:
            InputError: Unsafe, damaged, or of another architecture.
        """
        checkpoint = read_checkpoint(filename, map_location)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        loaded, total = load_weights(self.bare_model, checkpoint['state_dict'], Path(filename).name)
        self._has_loaded = True
        if 'run' in checkpoint:
            run = checkpoint['run']
            self.state.init = InitialWeights(**run['init']) if run['init'] else None
            self.state.wall_seconds = run['wall_seconds']
        else:  # weights from elsewhere, scored as they are: what they started from is themselves
            self.state.init = describe_weights(Path(filename), loaded, total)
        self.logger.info(f'loaded {loaded} of {total} tensors from {filename}')
        return checkpoint

    @master_only
    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Save a checkpoint whole or not at all: under a temporary name first."""
        with atomic_path(Path(out_dir, filename)) as temporary:
            super().save_checkpoint(out_dir, temporary.name, *args, **kwargs)
