"""Train or test one config with mmengine's Runner: check the data, build, run, and return the record."""

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_rank, init_dist, is_main_process
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import Runner

from octfluid.datasets.config_data import LOADERS, check_data, dataset_spec, inner_datasets
from octfluid.engine.checkpoint import fetch, last_checkpoint, read_checkpoint, require_weights
from octfluid.engine.config import set_precision
from octfluid.engine.hooks import EnsembleHook, OverlayHook, StopHook
from octfluid.engine.performance import FeedingRunner, mixed_precision
from octfluid.engine.record_hook import RunRecordHook
from octfluid.utils.atomic import require_folder
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError, WorkError, message_of
from octfluid.utils.lock import occupied

_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED|valid cuDNN algorithm", re.I)
_LOST_BATCH = re.compile(r'DataLoader (timed out|worker)')


def train(
    cfg: Config,
    work_dir: str,
    *,
    amp: str | None = None,
    resume: bool = False,
    deterministic: bool = False,
    launcher: str = 'none',
) -> Path | None:
    """Train a config, and score it on its validation scans.

    Args:
        cfg: From `octfluid.engine.config.load_config`; changed in place.
        work_dir: Folder for logs, checkpoints and the record; no other process may train in it.
        amp: As in `octfluid.engine.config.set_precision`.
        resume: Go on from the last checkpoint in ``work_dir``, if there is one.
        deterministic: Use deterministic kernels only.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Returns:
        The record's path; None in all processes but the first, or without `FluidMetric`.

    Raises:
        InputError: Unsound data, weights that are missing or do not fit, or a config that cannot be built; leaves no folder.
        WorkError: Memory ran out.
    """
    if not cfg.get('train_dataloader'):
        raise InputError(f'{cfg.filename}: is for testing only; train the config that it builds on')
    lines = _check(cfg, work_dir, '--work-dir')
    last, resumed = last_checkpoint(work_dir) if resume else None, None
    if last is not None:
        cfg.load_from, cfg.resume = str(last), True
        resumed = (read_checkpoint(last).get('run') or {}).get('settings', {}).get('precision')
    elif resume:
        lines.append(f'nothing to resume in {work_dir}: starting at iteration 0')
    if measured := set_precision(cfg, amp, resumed):
        lines.append(measured)
    require_weights(cfg.get('load_from'))
    _prepare(cfg, work_dir, deterministic, launcher)
    with _running(cfg, work_dir, owned=True) as runner:
        for line in lines:
            runner.logger.info(line)
        try:
            runner.train()
        finally:
            for hook in runner.hooks:
                if isinstance(hook, StopHook):
                    hook.leave_signals()
    return _record_of(runner)


def test(
    cfg: Config,
    checkpoints: Sequence[str],
    out_dir: str,
    *,
    show_dir: str | None = None,
    tta: bool = False,
    amp: bool = False,
    launcher: str = 'none',
) -> Path | None:
    """Score a checkpoint, or the mean probability of several, on a config's test scans; returns and raises as `train`.

    Args:
        cfg: From `octfluid.engine.config.load_config`; changed in place.
        checkpoints: Files as `octfluid.engine.checkpoint.read_checkpoint` takes them, at least one.
        out_dir: Folder for the log and the record.
        show_dir: Folder for one overlay picture per scan, or None.
        tta: Average over mirror images, or as the config's ``tta_model`` and ``tta_pipeline`` say.
        amp: Score in mixed precision.
        launcher: As in `train`.
    """
    if show_dir:
        _require_output(cfg, show_dir, '--show-dir')
    _check(cfg, out_dir, '--out')
    for path in checkpoints:
        require_weights(path)
    if len(checkpoints) > 1:
        _check_members(checkpoints, cfg)
    mirror = tta and not cfg.get('tta_model')
    if mirror and cfg.model.get('mirror'):
        raise InputError(f'--tta: {cfg.filename} averages over mirror images already (model.mirror); drop the option')
    if tta and not mirror:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        cfg.tta_model.module = cfg.model
        cfg.model = cfg.tta_model
    cfg.load_from, cfg.resume = str(checkpoints[0]), False
    if amp:
        cfg.merge_from_dict({'default_hooks.performance.scoring': mixed_precision()})
    if (cfg.get('default_hooks') or {}).get('record'):
        parts = (f'ensemble{len(checkpoints)}' if len(checkpoints) > 1 else '', 'tta' if tta else '')
        cfg.default_hooks.record.variant = '+'.join(filter(None, parts))
    _prepare(cfg, out_dir, False, launcher)
    with _running(cfg, out_dir, owned=False) as runner:
        # A checkpoint's weights are their average already.
        runner._hooks = [hook for hook in runner.hooks if not isinstance(hook, EMAHook)]
        if len(checkpoints) > 1 or mirror:
            runner.register_hook(EnsembleHook(checkpoints[1:], mirror))
        if show_dir:
            runner.register_hook(OverlayHook(show_dir))
        runner.test()
    return _record_of(runner)


def _check_members(checkpoints: Sequence[str], cfg: Config) -> None:
    # Members that differ in config, length or split may have been trained on scans that others are tested on.
    if cfg.model.type != 'ScanSegmentor':
        raise InputError(
            f'{len(checkpoints)} checkpoints: an ensemble needs a ScanSegmentor; {cfg.filename} has {cfg.model.type}'
        )
    if len({file_sha256(fetch(path)) for path in checkpoints}) < len(checkpoints):
        raise InputError(f'{", ".join(checkpoints)}: the same weights more than once; expected each once')
    trained = []
    for path in checkpoints:
        content = read_checkpoint(path)
        settings = (content.get('run') or {}).get('settings', {})
        trained.append((settings.get('config'), settings.get('split'), content.get('meta', {}).get('iter')))
        if trained[-1] != trained[0]:
            raise InputError(
                f'{path}: config, split or number of iterations differ from {checkpoints[0]}; expected the same of all, '
                'or scans may have been in the training of some'
            )


def _record_of(runner: Runner) -> Path | None:
    return next((hook.path for hook in runner.hooks if isinstance(hook, RunRecordHook)), None)


def _check(cfg: Config, folder: str, what: str) -> list[str]:
    _require_output(cfg, folder, what)
    report, spec = check_data(cfg), dataset_spec(cfg)
    if report.problems:
        raise InputError(
            f'{report.problems[0]}; this is the first of {len(report.problems)} problems that '
            f'`python tools/check_dataset.py {cfg.filename}` (with the same --split and --cfg-options) lists'
        )
    if spec is None:
        return []
    lines = [
        f"{subset} of split '{spec.split}' in {spec.root}: {counts.images} scans of {counts.subjects} subjects, "
        f'{counts.with_fluid} with {spec.classes[1]}, {100 * counts.fluid_share:.2f} % of pixels'
        for subset, counts in report.subsets.items()
    ]
    if shared := report.shared_subjects:
        lines.append(f'{len(shared)} subjects have scans on both sides: the score says little about unseen patients')
    return lines + [f'warning: {warning}' for warning in report.warnings]


def _require_output(cfg: Config, folder: str, what: str) -> None:
    """Refuse to write where scans, masks or lists lie: overlays have the names of the scans."""
    require_folder(folder, what)
    place = Path(os.path.realpath(folder))
    for loader in LOADERS:
        for dataset in inner_datasets((cfg.get(loader) or {}).get('dataset')):
            for part in (*(dataset.get('data_prefix') or {}).values(), 'splits'):
                data = Path(os.path.realpath(Path(dataset.get('data_root') or '.', part)))
                files = data.iterdir() if data.is_dir() else ()
                linked = any(file.is_symlink() and Path(os.path.realpath(file)).parent == place for file in files)
                if linked or place.is_relative_to(data):
                    raise InputError(f'{what} {folder}: holds what is in {data}; expected a folder without data')


def _prepare(cfg: Config, work_dir: str, deterministic: bool, launcher: str) -> None:
    cfg.work_dir, cfg.launcher = work_dir, launcher
    deterministic = deterministic or cfg.get('randomness', {}).get('deterministic', False)
    cfg.merge_from_dict({'randomness.deterministic': deterministic})
    if deterministic:
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    # Two runs of one process must not share mmengine's global logger, message hub and visualizer.
    cfg.experiment_name = f'{Path(cfg.filename).stem}_{os.getpid()}_{time.time_ns()}'
    if cfg.get('visualizer'):
        cfg.visualizer.name = cfg.experiment_name
    if not torch.cuda.is_available():
        cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    elif launcher != 'none':
        cfg.sync_bn = 'torch'
    if launcher != 'none' and not torch.distributed.is_initialized():
        _join_processes(cfg, launcher)


def _join_processes(cfg: Config, launcher: str) -> None:
    # Earlier than the Runner would: only the first process locks and prints.
    if not torch.cuda.is_available():  # mmengine's own start wants a GPU
        os.environ.setdefault('MASTER_PORT', '29500')
        if 'MASTER_ADDR' not in os.environ:
            raise InputError(f'--launcher {launcher}: MASTER_ADDR is not set; expected the first machine of the run')
        torch.distributed.init_process_group('gloo')
        return
    local, cards = int(os.environ['LOCAL_RANK']), torch.cuda.device_count()
    if local >= cards:
        raise InputError(f'--launcher {launcher}: more processes on this machine than its {cards} GPUs; start one for each')
    init_dist(launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {'backend': 'nccl'}))


class _Begun(Hook):
    """Remember whether a step has worked: from then on a failure is not about the config."""

    begun = False

    def _after_iter(self, *_: Any, **__: Any) -> None:
        self.begun = True


@contextmanager
def _running(cfg: Config, work_dir: str, owned: bool) -> Iterator[Runner]:
    """Build the block's Runner; what fails in or before the first step is one line about the config, and leaves no trace."""
    new, step = not Path(work_dir).exists(), _Begun()
    try:
        with occupied(work_dir) if owned and is_main_process() else nullcontext():
            runner = FeedingRunner.from_cfg(cfg)
            runner.register_hook(step)
            yield runner
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    except Exception as error:
        text = message_of(error)
        if isinstance(error, torch.distributed.DistError):  # each rank has other words of NCCL
            raise WorkError(f'{cfg.filename}: rank {get_rank()}: {text}') from error
        if isinstance(error, torch.OutOfMemoryError | MemoryError) or _OUT_OF_MEMORY.search(text):
            raise WorkError(
                f'{cfg.filename}: out of memory; lower train_dataloader.batch_size or the crop, or use --amp (in scoring: '
                'lower default_hooks.performance.window_batch)'
            ) from error
        if _LOST_BATCH.search(text):
            raise WorkError(
                f'{cfg.filename}: {text}; lower num_workers of the loaders, or enlarge /dev/shm (docker run --shm-size=8g)'
            ) from error
        if step.begun or isinstance(error, WorkError | ModuleNotFoundError):
            raise
        if new and is_main_process():
            shutil.rmtree(work_dir, ignore_errors=True)
        if isinstance(error, InputError):
            raise InputError(text) from error
        raise InputError(f'{cfg.filename}: {type(error).__name__}: {text}') from error
