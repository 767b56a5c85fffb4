"""What makes two runs the same run: which config settings decide a result, and digests of configs and data."""

import fnmatch
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import octfluid

ROOT = Path(octfluid.__file__).resolve().parents[1]
"""The repository, or the folder that holds the installed package."""

DECIDING = (
    'model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'val_evaluator', 'test_evaluator', 'optim_wrapper',
    'param_scheduler', 'train_cfg', 'val_cfg', 'test_cfg', 'default_hooks', 'custom_hooks', 'auto_scale_lr', 'sync_bn',
)  # fmt: skip
"""Top-level config keys that can decide a result; all others cannot."""

SPEED_SWITCHES = (
    '*.num_workers', '*.persistent_workers', '*.pin_memory', '*.prefetch_factor', '*.timeout', '*.worker_init_fn',
    '*.window_first', '*.cache_bytes', 'optim_wrapper.optimizer.fused', 'optim_wrapper.optimizer.foreach',
    'train_cfg.val_interval', 'train_cfg.val_begin', 'train_cfg.dynamic_intervals', 'default_hooks.performance',
    'default_hooks.performance.*', 'window_batch', 'reuse_memory', 'prepare_weights',
)  # fmt: skip
"""Config settings (shell patterns over dotted names) that change how long a run takes, and nothing else. The last three are
names of older records."""

_PRECISION = ('optim_wrapper.type', 'optim_wrapper.dtype', 'optim_wrapper.loss_scale')

RESULT_NEUTRAL = (
    *SPEED_SWITCHES,
    # Where files lie, and what is logged, drawn and kept.
    '*.data_root', '*.backend_args', '*.backend_args.*',
    *(f'default_hooks.{name}{rest}' for name in (
        'checkpoint', 'finite', 'logger', 'milestones', 'progress', 'record', 'runtime_info', 'sampler_seed', 'stop', 'timer',
        'visualization') for rest in ('', '.*')),
    *_PRECISION,
)  # fmt: skip
"""Config settings (shell patterns over dotted names) that do not change a result; those outside of `DECIDING` do not either.
Precision, seed, initial weights and determinism are fields of the record."""


def is_result_neutral(name: str) -> bool:
    """Return whether a dotted config setting cannot change a result; see `RESULT_NEUTRAL`."""
    return name.split('.')[0] not in DECIDING or _matches(name, RESULT_NEUTRAL)


def is_speed_switch(name: str) -> bool:
    """Return whether a dotted config setting changes how long a run takes; see `SPEED_SWITCHES`."""
    return _matches(name, SPEED_SWITCHES)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def flatten(settings: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Yield dotted names and plain values of nested dicts and lists; empty ones count as values."""
    items = settings.items() if isinstance(settings, Mapping) else enumerate(settings)
    for key, value in items:
        name = f'{prefix}.{key}' if prefix else str(key)
        if isinstance(value, Mapping | list | tuple) and value:
            yield from flatten(value, name)
        else:
            yield name, list(value) if isinstance(value, tuple) else value


def deciding_settings(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a config that decide a result, by dotted name, plain values."""
    settings = {key: cfg[key] for key in DECIDING if cfg.get(key)}
    return {name: value for name, value in flatten(settings) if not is_result_neutral(name)}


def config_sha256(cfg: Mapping[str, Any]) -> str:
    """Return a digest of what decides the result of a run: `deciding_settings`, without the seed and the initial weights."""
    return _digest(deciding_settings(cfg))


def resume_sha256(cfg: Mapping[str, Any]) -> str:
    """Return a digest of what a resumed run must share with its beginning: all that decides, but the number of iterations."""
    length = ('train_cfg.max_iters', 'train_cfg.max_epochs')
    return _digest({name: value for name, value in deciding_settings(cfg).items() if name not in length})


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def overrides_of(cfg: Mapping[str, Any], original: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in which a run's config differs from its file, by dotted name; None for one that was removed.

    Split, precision and the folder of the data are left out: a record has fields for them, or must not name them.
    """
    left = [key for key in DECIDING if key.startswith(('val_', 'test_')) and not (cfg.get(key) and original.get(key))]
    kept = [key for key in DECIDING if key not in left]
    ours, theirs = (dict(flatten({key: one[key] for key in kept if one.get(key)})) for one in (cfg, original))
    names = [name for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    elsewhere = ('*.ann_file', '*.data_root', *_PRECISION, 'sync_bn')
    return {
        name: ours.get(name)
        for name in names
        if not _matches(name, elsewhere) and not (name.startswith('default_hooks.') and is_result_neutral(name))
    }


def config_name(config: str | os.PathLike | None) -> str:
    """Return a config's path from the repository's root, or its bare name when it lies elsewhere."""
    if config is None:
        return 'config.py'
    path = Path(config).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
