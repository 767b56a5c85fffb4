"""A runner for a resolved config, and what is made of its end when that is not a good one."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process

import octfluid.register  # noqa: F401  first, for it silences what mmseg says when it is imported
from octfluid.datasets.fluid_dataset import PipelineError
from octfluid.engine.checkpoint import find_own_checkpoints
from octfluid.engine.interrupted import write_mark
from octfluid.engine.misfit import FAILURES, cause_of, is_lost_peer, naming_misfits, reason_of
from octfluid.engine.optim import check_optimizer, mixed_precision, precision_of
from octfluid.engine.out_of_memory import is_out_of_memory, memory_advice
from octfluid.engine.runner import FluidRunner
from octfluid.engine.stopping import Stop
from octfluid.records.fingerprint import config_name
from octfluid.records.origin import ALL
from octfluid.utils.errors import InputError, Interrupted, WorkError
from octfluid.utils.lock import occupied

ADVICE = 'look at how the settings fit each other and the data'


@dataclass(frozen=True)
class Request:
    """What the user asked for beside the config's content.

    Attributes:
        config: The config file as given.
        work_dir: Folder for logs, checkpoints and the record.
        overrides: ``--cfg-options`` by dotted key.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.
        amp: Train in mixed precision, or test in it.
        deterministic: Use deterministic kernels only.
        resume: Go on from the last checkpoint in ``work_dir``.
        stop: Lets a signal end a training after its step.
    """

    config: str
    work_dir: str
    overrides: Mapping[str, Any]
    launcher: str = 'none'
    amp: bool = False
    deterministic: bool = False
    resume: bool = False
    stop: Stop = field(default_factory=Stop)


@contextmanager
def opened_runner(cfg: Config, request: Request, training: bool) -> Iterator[FluidRunner]:
    """Build the block's runner. What fails in or before the first step leaves no trace; all that fails later keeps its files.

    A step that has never worked fails because of the config; later, the same error is a bug and keeps its traceback.

    Args:
        cfg: As for `build_runner`.
        request: What else the user asked for.
        training: For training and scoring, in a work folder that no other process trains in meanwhile; else for scoring alone.

    Raises:
        InputError: The config asks for what cannot be built or done, or another process trains in the work folder.
        WorkError: Work that has begun met such an error, or memory ran out.
        Interrupted: A signal has ended the training: its message says how to go on, and so does the mark in its folder.
    """
    made_here, runner = not Path(request.work_dir).exists(), None
    try:
        runner = build_runner(cfg, request, training)
        runner.state.stop = request.stop
        with _own_folder(request.work_dir) if training and is_main_process() else nullcontext():
            yield runner
    except (InputError, OSError) as error:
        reason = reason_of(error)
        state = runner and runner.state
        if state and (state.proven if isinstance(error, PipelineError) else state.begun):
            if isinstance(error, InputError) or reason != str(error):
                advice = '; with this put right, --resume goes on from the last checkpoint' if training else ''
                raise WorkError(f'{reason}{advice}') from error
        elif isinstance(error, (InputError, FileNotFoundError)) and not isinstance(error, _InUse):
            if made_here:
                _leave_no_trace(request)
            # Weights that the config names, or a folder of its data.
            missing = f'{request.config}: names a file that is not there, ' if isinstance(error, FileNotFoundError) else ''
            raise InputError(f'{missing}{reason}') from error
        raise
    except (MemoryError, *FAILURES) as error:
        if is_out_of_memory(error):
            raise WorkError(memory_advice(cfg, request.config, training, request.amp)) from error
        if is_lost_peer(error):
            raise WorkError(_alone(training)) from error
        if runner is None or runner.state.proven or isinstance(error, ModuleNotFoundError):
            raise
        if made_here:
            _leave_no_trace(request)
        raise InputError(f'{_what(request, training)} cannot begin, {cause_of(error)}; {ADVICE}') from error
    except Interrupted as error:
        if training and runner is not None and runner.state.begun and is_main_process():
            raise Interrupted(error.number, _mark(cfg, request, runner, error)) from None
        raise


def _what(request: Request, training: bool) -> str:
    return f'{request.config}: {"training" if training else "scoring"}'


def _alone(training: bool) -> str:
    advice = '; --resume goes on from the last checkpoint' if training else ''
    return f'another process of this run has ended, without which this one cannot go on{advice}'


def _leave_no_trace(request: Request) -> None:
    if is_main_process():
        shutil.rmtree(request.work_dir, ignore_errors=True)


class _InUse(InputError):
    """The work folder belongs to another process."""


@contextmanager
def _own_folder(work_dir: str) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(occupied(work_dir))
        except InputError as error:
            raise _InUse(str(error)) from error
        yield


def _mark(cfg: Config, request: Request, runner: FluidRunner, error: Interrupted) -> str:
    """Mark a training as interrupted; return what to say of it."""
    checkpoints = find_own_checkpoints(request.work_dir)
    last = checkpoints[0].name if checkpoints else None
    done = int(checkpoints[0].stem.removeprefix('iter_')) if checkpoints else 0
    content = dict(
        config=config_name(request.config),
        split=cfg.split,
        seed=runner.seed,
        signal=signal.Signals(error.number).name,
        iteration=done,
        iterations=runner.max_iters,
        checkpoint=last,
        wall_seconds=round(runner.state.wall_seconds, 3),
    )
    write_mark(request.work_dir, content)
    way_on = f'--resume goes on from {checkpoints[0]}' if checkpoints else 'no checkpoint had been written'
    return f'{error} after {done} of {runner.max_iters} iterations; {way_on}'


def build_runner(cfg: Config, request: Request, training: bool) -> FluidRunner:
    """Build the runner of a resolved config.

    Args:
        cfg: From `octfluid.engine.config.load_config`; changed in place.
        request: What else the user asked for; for a training in mixed precision the config must say so already.
        training: For training and scoring, else for scoring alone.

    Raises:
        InputError: The config asks for something that cannot be built.
    """
    cfg.work_dir = request.work_dir
    cfg.launcher = request.launcher
    cfg.resume = request.resume
    # As text, because a config turns what it is given into classes of its own, which no checkpoint may hold.
    cfg.given_overrides = json.dumps(dict(request.overrides), default=str)
    cfg.precision = precision_of(cfg)
    cfg.scoring_precision = cfg.precision if training and cfg.get('amp_scoring') else 'fp32'
    if request.amp and not training:
        cfg.scoring_precision, cfg.channels_last = mixed_precision(), True
    cfg.randomness.deterministic = request.deterministic or cfg.randomness.get('deterministic', False)
    # Two runs of one process must not share mmengine's global logger and message hub.
    cfg.experiment_name = f'{Path(request.config).stem}_{os.getpid()}_{time.time_ns()}'
    if not torch.cuda.is_available():
        cfg.env_cfg.dist_cfg.backend = 'gloo'
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
        if request.launcher == 'pytorch' and not torch.distributed.is_initialized():
            torch.distributed.init_process_group('gloo')  # mmengine's own start wants a GPU
    elif request.launcher != 'none':
        cfg.sync_bn = 'torch'
    with naming_misfits(f'{request.config}: cannot be built'):
        runner = FluidRunner.from_cfg(cfg)
        if not training:
            runner.only_score()
        if training:  # mmengine would build these later, where a wrong setting could not be told from a bug
            check_optimizer(cfg)
            if cfg.split == ALL:
                runner.leave_unscored()
            runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        _ = (runner.train_loop, runner.val_loop) if training else runner.test_loop
    return runner
