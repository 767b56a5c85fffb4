"""Whether a checkpoint has all that a training goes on from, and whether it is of this training's optimizer and schedule."""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import EMAHook
from torch import Tensor, nn

from octfluid.datasets.sampler import CountedSampler
from octfluid.engine.hooks import StepSeedHook
from octfluid.utils.errors import InputError

_KEPT_VALUES = 1_000_000  # of a series, by mmengine
_SERIES = ('train/loss', 'train/lr', 'train/time')
"""What a run record tells of the iterations."""


def require_resumable(path: Path, checkpoint: Mapping[str, Any], runner: Any) -> None:
    """Refuse a checkpoint that a training cannot go on from as if it had not been interrupted.

    It is whole, or reading would have refused it, and says that it is of this very config. No earlier one is tried: what this
    one lacks, because it was never saved or because somebody has changed it, those before it may lack too, and the training
    would begin anew in the place of one that is there.

    Args:
        path: The file, for messages.
        checkpoint: Its content, from `octfluid.engine.checkpoint.read_checkpoint`.
        runner: About to resume; its model, optimizer and schedule are built.

    Raises:
        InputError: Optimizer, schedule, history or averaged weights are missing or those of another training.
    """
    live = {'optimizer': runner.optim_wrapper.state_dict(), 'message_hub': {}}
    if runner.param_schedulers is not None:
        live['param_schedulers'] = [scheduler.state_dict() for scheduler in runner.param_schedulers]
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            live['ema_state_dict'] = hook.ema_model.state_dict()
            live['state_dict'] = runner.bare_model.state_dict()  # which the hook takes for the average, before it is loaded
    problem = next((f'has no {key}' for key in live if key not in checkpoint), None)
    scheduled = {scheduler.param_name for scheduler in runner.param_schedulers or ()}
    problem = (
        problem or _history_problem(checkpoint) or _optimizer_problem(checkpoint['optimizer'], runner.optim_wrapper, scheduled)
    )
    for key in ('param_schedulers', 'ema_state_dict', 'state_dict'):
        problem = problem or (_difference(checkpoint[key], live[key], key) if key in live else None)
    if problem:
        raise InputError(
            f'{path}: {problem}; expected all that this config saves for a resume: move the file away to go on from the '
            'checkpoint before it, or choose another --work-dir to begin anew'
        )


def inexact(runner: Any) -> list[str]:
    """Say why a resumed training will not end with the weights of one without an interruption; usually it will.

    Args:
        runner: That has resumed, and not begun.
    """
    reasons, together = [], runner.optim_wrapper._accumulative_counts
    if left := runner.iter % together:
        reasons.append(f'gradients of {left} of {together} iterations that are added up (accumulative_counts) are not kept')
    if not isinstance(runner.train_dataloader.sampler, CountedSampler):
        name = type(runner.train_dataloader.sampler).__name__
        reasons.append(
            f'{name} does not tell samples by their number, as CountedSampler does, so that they are varied otherwise'
        )
    if not any(isinstance(hook, StepSeedHook) for hook in runner.hooks):
        reasons.append('without StepSeedHook, dropout draws otherwise')
    return reasons


def _history_problem(checkpoint: Mapping[str, Any]) -> str | None:
    done, scalars = checkpoint['meta']['iter'], checkpoint['message_hub']['scalars']
    for name in _SERIES:
        found = len(scalars[name]['values']) if name in scalars else 0
        if found != min(done, _KEPT_VALUES):
            return f'has {found} values of {name} from {done} iterations'
    return None


def _optimizer_problem(stored: Mapping[str, Any], wrapper: Any, scheduled: Collection[str]) -> str | None:
    """Compare what was stored of an optimizer with the one there is, and with what that one will remember after a step.

    Args:
        stored: From the checkpoint.
        wrapper: Of the optimizer there is.
        scheduled: Its settings that change in the course of a training; the others are the config's.
    """
    live, found = wrapper.state_dict(), dict(stored)
    remembered, number = found.pop('state', None), len(live.pop('state'))
    if problem := _difference(found, live, 'optimizer'):
        return problem
    for ours, theirs in zip(live['param_groups'], found['param_groups'], strict=True):
        fixed = (key for key in ours if key not in scheduled and not _is_switch(ours[key]))
        if wrong := next((key for key in fixed if ours[key] != theirs[key]), None):
            return f'optimizer.param_groups has another {wrong}'
    expected = _state_after_a_step(wrapper.optimizer)
    if not isinstance(remembered, Mapping) or any(key not in range(len(expected)) for key in remembered):
        return f'optimizer.state is not by the numbers of {len(expected)} weights'
    if number == 0 and any(expected) and not remembered:
        return 'optimizer.state is empty'
    found = (_difference(entry, expected[key], f'optimizer.state.{key}') for key, entry in remembered.items())
    return next(filter(None, found), None)


def _state_after_a_step(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return samples of what an optimizer remembers of each weight, from weights of the same shapes."""
    groups, weights = [], []
    for group in optimizer.param_groups:
        made = [nn.Parameter(torch.zeros(weight.shape)) for weight in group['params']]
        for weight in made:
            weight.grad = torch.zeros_like(weight)
        kernels = {key: False for key in ('fused', 'foreach', 'capturable') if key in group}  # those of a GPU, maybe
        groups.append({**group, **kernels, 'params': made})
        weights += made
    scratch = type(optimizer)(groups)
    scratch.step()
    return [scratch.state[weight] for weight in weights]


def _difference(found: Any, like: Any, name: str) -> str | None:
    """Say where a value is of another kind than a sample: other keys, lengths, shapes or types, or no finite number."""
    if isinstance(like, Mapping):
        if not isinstance(found, Mapping):
            return f'{name} is no dict'
        if wrong := sorted(map(str, like.keys() ^ found.keys())):
            return f'{name} differs in having {wrong[0]}'
        inner = ((found[key], like[key], f'{name}.{key}') for key in like)
    elif isinstance(like, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(like):
            return f'{name} is no list of {len(like)}'
        inner = ((one, sample, f'{name}.{place}') for place, (one, sample) in enumerate(zip(found, like, strict=True)))
    else:
        return None if _is_alike(found, like) else f'{name} is of another kind'
    return next(filter(None, (_difference(*pair) for pair in inner)), None)


def _is_alike(found: Any, like: Any) -> bool:
    if isinstance(like, Tensor):
        return isinstance(found, Tensor) and found.shape == like.shape
    if _is_switch(like):
        return _is_switch(found)
    if isinstance(like, int | float):  # in what is counted or divided by, a sign makes a difference
        number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
        return number and (found >= 0 or like < 0) and (found > 0 or not (isinstance(like, int) and like > 0))
    return isinstance(found, type(like)) and found == like


def _is_switch(value: Any) -> bool:
    """Tell whether a value says yes, no or as you like, as for fused kernels, which may have been asked for since."""
    return isinstance(value, bool) or value is None
