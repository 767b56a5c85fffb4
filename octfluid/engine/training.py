"""Train or test one config, from checked data to a run record on disk."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce

from octfluid.datasets.integrity import DatasetReport, subject_overlap
from octfluid.datasets.splits import read_split
from octfluid.engine import data_state
from octfluid.engine import ensemble as members
from octfluid.engine.building import Request, opened_runner
from octfluid.engine.checkpoint import find_initial_weights, find_own_checkpoints
from octfluid.engine.config import dataset_spec
from octfluid.engine.data_check import check_data, refuse_data_folder
from octfluid.engine.optim import enable_mixed_precision
from octfluid.engine.outcome import write_outcome
from octfluid.engine.runner import FluidRunner
from octfluid.records.origin import ALL, Origin, origin_of
from octfluid.records.record import file_sha256
from octfluid.utils.atomic import require_file_names, require_folder
from octfluid.utils.errors import InputError

HISTORY_INTERVAL = 10
_FOREIGN = (
    'trained with other settings than {} has, of which the record is; score with the config and --cfg-options of the training'
)


def train(cfg: Config, request: Request) -> Path:
    """Train a resolved config, and write its run record and gallery pictures beside it.

    Args:
        cfg: From `octfluid.engine.config.load_config`; changed in place.
        request: What else the user asked for.

    Returns:
        The record's path; its ``metrics`` are those of the weights after the last iteration. Split ``all`` leaves no scan to
        score: its record has no images, and its metrics are null.

    Raises:
        InputError: The data set is not sound, the initial weights are missing or do not fit, or the config asks for
            something that cannot be built. No work folder is left that was not there before.
        WorkError: Files that were sound cannot be read any more, or the record does not hold together.
    """
    require_folder(request.work_dir, '--work-dir')
    _require_file_names(request.work_dir)
    if cfg.get('test_only'):
        raise InputError(f'{request.config}: is for scoring only; train the config it builds on')
    refuse_data_folder(cfg, request.work_dir, '--work-dir')
    data_lines = _data_lines(cfg, _checked_data(cfg))
    seen = _seen_data(cfg, request, data_lines)
    scored = cfg.split != ALL
    if scored:
        read_split(cfg.data_root, cfg.split, 'val')
    if cfg.get('init') and not (request.resume and find_own_checkpoints(request.work_dir)):
        find_initial_weights(cfg.init.files)
    if request.amp:
        if cfg.optim_wrapper.type != 'OptimWrapper':
            raise InputError(f'--amp: the config already sets optim_wrapper.type={cfg.optim_wrapper.type}; drop one of the two')
        enable_mixed_precision(cfg)
    with opened_runner(cfg, request, training=True) as runner:
        runner.state.data_lines, runner.state.data = data_lines, seen
        runner.train()
        if scored and runner.state.metrics is None:  # resumed after the last iteration and before its validation
            runner.val_loop.run()
    seconds, _ = runner.message_hub.get_scalar('train/time').data
    measured = dict(
        kind='train',
        iterations=runner.max_iters,
        seed=runner.seed,
        init=runner.state.init,
        checkpoint_sha256=file_sha256(Path(request.work_dir) / f'iter_{runner.max_iters}.pth'),
        wall_seconds=round(runner.state.wall_seconds, 3),
        images_per_second=round(len(seconds) * cfg.train_dataloader.batch_size * runner.world_size / seconds.sum(), 3),
        history=_history(runner),
        precision=cfg.precision,
        variant=f'{runner.world_size}processes' if runner.world_size > 1 else '',
    )
    return write_outcome(cfg, request, runner, runner.val_loop, measured)


def test(
    cfg: Config, request: Request, checkpoint: str | Sequence[str], show_dir: str | None = None, tta: bool = False
) -> Path:
    """Score a checkpoint, or an ensemble, on the validation scans of a resolved config's split, and write as `train` does.

    Args:
        cfg: From `octfluid.engine.config.load_config`; changed in place.
        request: What else the user asked for.
        checkpoint: A file as `octfluid.engine.checkpoint.read_checkpoint` takes it; of several, the mean of their
            probabilities is scored.
        show_dir: Folder for one overlay picture per scan, or None.
        tta: Average over mirror images, where the config does not do so already.

    Returns:
        The record's path. Split ``all``, which has no validation list, is scored on all its scans.

    Raises:
        InputError: The data set is not sound; a checkpoint is missing, unsafe, or of another architecture; or checkpoints of
            an ensemble are of different splits, are the same, or the config's network cannot be one of several.
        WorkError: As in `train`.
    """
    checkpoints = [checkpoint] if isinstance(checkpoint, str) else list(checkpoint)
    stored = members.read(checkpoints, cfg)
    origin = origin_of(checkpoints[0], stored[0], cfg.train_dataloader.dataset.type)
    foreign = origin.is_of_other_settings(cfg)
    _prepare_to_score(cfg, request, show_dir)
    cfg.load_from, cfg.init = checkpoints[0], None
    if tta:
        members.refuse_second_mirror(cfg)
    with opened_runner(cfg, request, training=False) as runner:
        members.join(runner.bare_model, checkpoints[1:], stored[1:])
        if tta:
            members.average_mirror_images(runner.bare_model)
        start = time.perf_counter()
        runner.test()
    seconds = time.perf_counter() - start
    if foreign:
        runner.logger.warning(f'{checkpoints[0]}: {_FOREIGN.format(cfg.filename)}')
    seen = _seen_in_training(origin, cfg, runner)
    measured = dict(
        kind='test',
        iterations=origin.iterations or 0,
        seed=origin.seed or 0,
        init=runner.state.init,
        checkpoint_sha256=members.sha256(checkpoints),
        wall_seconds=round(seconds, 3),
        images_per_second=round(len(runner.test_dataloader.dataset) / seconds, 3),
        history=[],
        precision=cfg.scoring_precision,
        variant=_test_variant(seen, cfg, len(checkpoints), tta),
        overrides={**origin.overrides, **request.overrides},
    )
    return write_outcome(cfg, request, runner, runner.test_loop, measured)


def _prepare_to_score(cfg: Config, request: Request, show_dir: str | None) -> None:
    """Look at the folders to write to and at the data; have overlays drawn."""
    require_folder(request.work_dir, '--out')
    _require_file_names(request.work_dir)
    refuse_data_folder(cfg, request.work_dir, '--out')
    if show_dir:
        require_folder(show_dir, '--show-dir')
        refuse_data_folder(cfg, show_dir, '--show-dir')
        cfg.custom_hooks.append(dict(type='OverlayHook', out_dir=show_dir))
    if cfg.split == ALL:
        for loader in (cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.subset = 'train'
    _checked_data(cfg)


def _seen_in_training(origin: Origin, cfg: Config, runner: FluidRunner) -> str:
    """Return the split of a training that may have seen the scans under test, after a warning; else nothing."""
    if seen := origin.mark(cfg):
        which = 'all scans of this data set were' if seen == ALL else f"scans of split '{cfg.split}' may have been"
        runner.logger.warning(f"trained on split '{seen}': {which} in its training")
    return seen


def _test_variant(seen: str, cfg: Config, number: int, tta: bool) -> str:
    """Say in what a test differs from the usual: scans seen in training, an ensemble, mirror images, 16 bits."""
    parts = [f'trained-on-{seen}'] if seen else []
    parts += [f'ensemble{number}'] if number > 1 else []
    parts += ['tta'] if tta else []
    return '+'.join(parts + ([] if cfg.scoring_precision == 'fp32' else [cfg.scoring_precision]))


def _require_file_names(work_dir: str) -> None:
    """Refuse folders where checkpoints, the record and what else lies beside it will be written."""
    require_file_names(path for pattern in ('iter_*.pth', '*.json', 'last_checkpoint') for path in Path(work_dir).glob(pattern))


def _checked_data(cfg: Config) -> DatasetReport:
    report = check_data(cfg)
    if report.problems:
        raise InputError(
            f'{report.problems[0]}; this is the first of {len(report.problems)} problems that '
            f'`python tools/check_dataset.py {cfg.filename}` (with the same --split and --cfg-options) lists'
        )
    return report


def _seen_data(cfg: Config, request: Request, data_lines: list[str]) -> dict[str, Any]:
    """Return the state of the data; refuse to resume on other data than before, and say so where a run begins anew."""
    seen = data_state.data_state(cfg)
    if (changed := data_state.changes(request.work_dir, seen)) is None:
        return seen
    if request.resume and find_own_checkpoints(request.work_dir):
        raise InputError(f'--resume: {changed}; bring back what was there, or begin anew in another --work-dir')
    data_lines.append(f'warning: {changed}; what that run has left there may be of other data')
    return seen


def _data_lines(cfg: Config, report: DatasetReport) -> list[str]:
    """Say what both sides of the split hold, and whether patients are on both."""
    spec = dataset_spec(cfg)
    lines = [f"{spec.root}/{spec.size_dir}, split '{spec.split}'"]
    lines += [
        f'{subset}: {counts.images} scans of {counts.subjects} subjects, {counts.with_fluid} with {spec.classes[1]}, '
        f'{100 * counts.fluid_share:.2f} % of pixels'
        for subset, counts in report.subsets.items()
    ]
    lines += [f'warning: {warning}' for warning in report.warnings]
    shared = subject_overlap(spec.root, spec.split)
    if shared:
        lines.append(f'note: {len(shared)} subjects have scans on both sides, so the score says little about unseen patients')
    return lines


def _history(runner: FluidRunner) -> list[dict]:
    """Loss and learning rate every `HISTORY_INTERVAL` iterations and at the end.

    The loss is the mean over the last iterations and, since the last resume, over all processes: a checkpoint holds those of
    the first.
    """
    own_losses, _ = runner.message_hub.get_scalar('train/loss').data
    losses = torch.as_tensor(own_losses, dtype=torch.float64)
    all_reduce(losses, 'mean')
    rates, _ = runner.message_hub.get_scalar('train/lr').data
    points = []
    for end in sorted({*range(HISTORY_INTERVAL, len(losses) + 1, HISTORY_INTERVAL), len(losses)}):
        window = losses[max(0, end - HISTORY_INTERVAL) : end]
        points.append(dict(iteration=end, loss=float(window.mean()), lr=float(rates[end - 1])))
    return points
