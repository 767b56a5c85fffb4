"""What makes two runs the same run: a digest of the config, and what a resume must not change."""

import copy
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size

import octfluid

_ROOT = Path(octfluid.__file__).resolve().parents[1]

# Hooks that watch a run and do not change it.
PASSIVE_HOOKS = {
    'CheckpointHook', 'DistSamplerSeedHook', 'IterTimerHook', 'LoggerHook',
    'OverlayHook', 'PlainCheckpointHook', 'ProgressHook', 'RunStateHook',
}  # fmt: skip
SPEED_SWITCHES = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor')
DATASET_NEUTRAL = ('data_root', 'window_first', 'cache_bytes')


def config_name(config: str | os.PathLike) -> str:
    """Return a config's path from the repository's root, or its bare name when it lies elsewhere."""
    path = Path(config).resolve()
    return path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else path.name


def config_sha256(cfg: Config) -> str:
    """Digest of what decides the result of a run with a resolved config.

    Covers model, losses, pipelines, split, sampling, optimizer, schedule, evaluator, hooks that act, and the heads that start
    anew. Leaves out the seed and the initial weights (a run record has them beside it), paths, workers, logging, validation
    interval, precision (`amp_scoring` too), and what only saves time: `window_first`, `cache_bytes`, `window_batch`,
    `reuse_memory`, `prepare_weights`, fused kernels of the optimizer.
    """
    optim = {key: value for key, value in cfg.optim_wrapper.items() if key not in ('type', 'loss_scale', 'dtype')}
    optim['optimizer'] = {key: value for key, value in cfg.optim_wrapper.optimizer.items() if key != 'fused'}
    train_cfg = {key: value for key, value in cfg.train_cfg.items() if not key.startswith('val_')}
    content = dict(
        model=cfg.model,
        train=_without_place(cfg.train_dataloader),
        val=_without_place(cfg.val_dataloader),
        optim=optim,
        schedule=cfg.get('param_scheduler'),
        train_cfg=train_cfg,
        evaluator=cfg.val_evaluator,
        hooks=[hook for hook in cfg.get('custom_hooks', []) if hook['type'] not in PASSIVE_HOOKS] + _unusual_defaults(cfg),
    )
    if (cfg.get('init') or {}).get('reinit'):
        content['reinit'] = cfg.init.reinit
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def resume_settings(cfg: Config) -> dict[str, Any]:
    """Return what a resumed run must share with its beginning: all that decides a result, but the number of iterations."""
    endless = copy.deepcopy(cfg)
    endless.train_cfg.pop('max_iters', None)
    return dict(
        split=cfg.split,
        seed=cfg.randomness.get('seed'),
        precision=cfg.precision,
        init=list(cfg.init.files) if cfg.get('init') else None,
        processes=get_world_size(),
        deterministic=cfg.randomness.get('deterministic', False),
        config=config_sha256(endless),
    )


def training_digests(cfg: Config) -> set[str]:
    """Return what `resume_settings` may say as ``config`` of a config's training: with its ``init``, or from scratch."""
    digests = set()
    for init in (cfg.get('init'), None):
        endless = copy.deepcopy(cfg)
        endless.train_cfg.pop('max_iters', None)
        endless.init = init
        digests.add(config_sha256(endless))
    return digests


def _unusual_defaults(cfg: Config) -> list:
    """Return the default hooks that act, other than the one that steps the schedule; and a mark when that one is missing."""
    hooks = {name: hook for name, hook in cfg.default_hooks.items() if hook}
    acting = [hook for hook in hooks.values() if hook['type'] not in PASSIVE_HOOKS | {'ParamSchedulerHook'}]
    return acting + ([] if cfg.default_hooks.get('param_scheduler', True) else ['no ParamSchedulerHook'])


def _without_place(loader: ConfigDict) -> dict:
    """Return a dataloader without speed switches, its own and its dataset's, and without where its data lie."""
    kept = {key: value for key, value in loader.items() if key not in SPEED_SWITCHES}
    kept['dataset'] = {key: value for key, value in loader.dataset.items() if key not in DATASET_NEUTRAL}
    return kept
