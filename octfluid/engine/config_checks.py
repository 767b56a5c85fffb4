"""What is refused of a resolved config's settings for scoring and for the network that takes raw scans."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from octfluid.utils.errors import InputError

CHECKPOINT_SETTINGS = set(inspect.signature(CheckpointHook.__init__).parameters) - {'self', 'kwargs'} | {'type', 'priority'}


def check_datasets(cfg: Config, path: str | Path) -> None:
    """Refuse data to score that are of another kind than those to train on, which alone are checked before a training.

    Raises:
        InputError: Naming the setting, what was found and what was expected.
    """
    for key in ('type', 'size_dir', 'scan_size'):
        ours, other = (loader.dataset.get(key) for loader in (cfg.train_dataloader, cfg.val_dataloader))
        if (tuple(ours) if ours else None) != (tuple(other) if other else None):
            raise InputError(
                f'{path}: val_dataloader.dataset.{key} is {other!r}; expected {ours!r}, as in train_dataloader'
                + ('; set truth_dir to score against masks of another size' if key == 'size_dir' else '')
            )


def check_scoring(cfg: Config, path: str | Path) -> None:
    """Refuse windows, weightings and precisions that scoring does not know.

    Raises:
        InputError: Naming the setting, what was found and what was expected.
    """
    windows = cfg.get('window_batch')
    if windows not in (None, 'auto') and not is_whole(windows, 1):
        raise InputError(
            f"{path}: window_batch is {windows!r}; expected a whole number, at least 1, 'auto', or None for mmseg's own "
            'slide inference'
        )
    for name in ('amp_scoring', 'channels_last', 'reuse_memory', 'prepare_weights', 'optim_wrapper.optimizer.fused'):
        value = cfg
        for part in name.split('.'):
            value = value.get(part, False)
        if not isinstance(value, bool):
            raise InputError(f'{path}: {name} is {value!r}; expected True or False')
    test_cfg = cfg.model.get('test_cfg')
    mode = test_cfg.get('mode') if isinstance(test_cfg, dict) else None
    if mode not in ('slide', 'whole'):
        raise InputError(f"{path}: model.test_cfg.mode is {mode!r}; expected 'slide' or 'whole'")
    weighting = test_cfg.get('weighting')
    if weighting not in (None, 'gaussian') or (weighting and (mode != 'slide' or windows is None)):
        raise InputError(
            f"{path}: model.test_cfg.weighting is {weighting!r}; expected None, or 'gaussian' with mode='slide' and a "
            'window_batch'
        )
    crop, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    if mode == 'slide' and not (is_pair(crop) and is_pair(stride) and all(map(int.__le__, stride, crop))):
        raise InputError(
            f'{path}: model.test_cfg has crop_size={crop!r} and stride={stride!r}; expected two whole numbers each, and a '
            'stride that is at most crop_size, or windows would leave gaps'
        )


def check_losses(cfg: Config, path: str | Path) -> None:
    """Refuse class weights beside ``avg_non_ignore``, with which mmseg's cross-entropy fails in the first step.

    Raises:
        InputError: Naming the head.
    """
    for name in ('decode_head', 'auxiliary_head'):
        heads = cfg.model.get(name) or []
        for head in heads if isinstance(heads, list) else [heads]:
            losses = head.get('loss_decode', [])
            for loss in losses if isinstance(losses, list) else [losses]:
                together = loss.get('avg_non_ignore') and loss.get('class_weight') is not None
                if together and loss.get('type') == 'CrossEntropyLoss':
                    raise InputError(
                        f'{path}: model.{name} has CrossEntropyLoss with class_weight and avg_non_ignore, which mmseg cannot '
                        'do together; set avg_non_ignore=False or drop class_weight'
                    )


def check_monitors(cfg: Config, classes: Sequence[str], path: str | Path) -> None:
    """Refuse what would fail at the first score or checkpoint: a score that there is not, a setting that nothing knows.

    Raises:
        InputError: Naming the setting.
    """
    scores = ('mIoU', 'mDice', 'aAcc', *(f'{kind}.{name}' for kind in ('IoU', 'Dice') for name in classes))
    saving, schedulers = cfg.default_hooks.checkpoint, cfg.get('param_scheduler') or []
    unknown = sorted(set(saving) - CHECKPOINT_SETTINGS)
    if unknown and saving.type == 'CheckpointHook':
        raise InputError(f"{path}: default_hooks.checkpoint has '{unknown[0]}', which CheckpointHook does not know; remove it")
    best = saving.get('save_best')
    named = [
        ('default_hooks.checkpoint.save_best', one) for one in (best if isinstance(best, list) else [best]) if one != 'auto'
    ]
    for place, parts in (
        ('custom_hooks', cfg.custom_hooks),
        ('param_scheduler', schedulers if isinstance(schedulers, (list, tuple)) else [schedulers]),
    ):
        named += [(f'{place}.{number}.monitor', part.get('monitor')) for number, part in enumerate(parts)]
    for place, score in named:
        if score is not None and score not in scores:
            raise InputError(f'{path}: {place} is {score!r}; expected one of the scores, {", ".join(scores)}')


def is_whole(value: Any, least: int) -> bool:
    """Tell whether a setting is a whole number of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_pair(value: Any) -> bool:
    """Tell whether a setting is two whole numbers of at least 1."""
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(is_whole(item, 1) for item in value)


def check_scan_segmentor(cfg: Config, path: str | Path) -> None:
    """Refuse a `ScanSegmentor` that would see scans otherwise in prediction than in training.

    Prediction resizes and standardises by itself; the training pipeline has steps for both, and nothing else ties the two.

    Raises:
        InputError: The two sizes differ, a step is missing or of too many, or the scoring pipeline has one of them.
    """
    if cfg.model.type != 'ScanSegmentor':
        return
    size = cfg.model.get('working_size')
    if size is not None and not is_pair(size):
        raise InputError(f'{path}: model.working_size is {size!r}; expected (height, width) in pixels, or None')
    training, scoring = (loader.dataset.pipeline for loader in (cfg.train_dataloader, cfg.val_dataloader))
    resizes = [step for step in training if step.type == 'Resize']
    scales = [
        tuple(step.scale[::-1]) if is_pair(step.get('scale')) and not step.get('keep_ratio') else dict(step) for step in resizes
    ]
    expected = [] if size is None else [tuple(size)]
    if scales != expected:
        raise InputError(
            f'{path}: the training pipeline resizes to {scales or "no size"} and model.working_size is {size}; expected the '
            'same (height, width), in one Resize with scale=(width, height), or neither'
        )
    if [step.type for step in training].count('StandardizeScan') != 1:
        raise InputError(f'{path}: expected StandardizeScan once in the training pipeline, as the network does in prediction')
    kinds = [step.type for step in training]
    windows = [kinds.index(kind) for kind in ('FluidCrop', 'RandomCrop') if kind in kinds]
    if windows and min(windows) < kinds.index('StandardizeScan'):
        raise InputError(f'{path}: StandardizeScan comes after a window is cut; expected it before, to see the whole scan')
    if cfg.model.data_preprocessor.get('mean') is not None:
        raise InputError(f'{path}: model.data_preprocessor.mean is set; expected none, the scans are standardised already')
    extra = [step.type for step in scoring if step.type in ('Resize', 'StandardizeScan')]
    if extra:
        raise InputError(f'{path}: the scoring pipeline has {extra[0]}, which ScanSegmentor does by itself; remove it')
