"""What kind of value each setting has that is read before, or long after, the object it belongs to is built.

A wrong value elsewhere makes building or the first step fail, and is named there (`octfluid.engine.building`).
"""

import math
import reprlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from octfluid.engine.config_checks import is_pair, is_whole
from octfluid.utils.errors import InputError

MOST = 2**31 - 1
NEEDED_HOOKS = {'PlainCheckpointHook', 'RunStateHook'}
"""Without them a checkpoint cannot be read again, and no record be written."""


class Kind(NamedTuple):
    """A kind of value: what to say of it, and whether a value is of it."""

    says: str
    holds: Callable[[Any], bool]


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get('type'), (str, type))


def _are_parts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_is_part, value))


def _whole(least: int) -> Kind:
    return Kind(f'a whole number, at least {least} and at most {MOST}', lambda value: is_whole(value, least) and value <= MOST)


def _only(value: Any, why: str) -> Kind:
    return Kind(f'{value!r}, {why}', lambda given: type(given) is type(value) and given == value)


def _or_none(kind: Kind) -> Kind:
    return Kind(f'{kind.says}, or None', lambda value: value is None or kind.holds(value))


GROUP = Kind('a group of settings, dict(...)', lambda value: isinstance(value, dict))
PART = Kind('dict(type=..., ...)', _is_part)
PARTS = Kind('a list of dict(type=..., ...)', _are_parts)
ONE_OR_MORE = Kind(
    'dict(type=..., ...) or a list of them', lambda value: _is_part(value) or (_are_parts(value) and value != [])
)
TEXT = Kind('text', lambda value: isinstance(value, str) and value != '' and '\0' not in value)
FLAG = Kind('True or False', lambda value: isinstance(value, bool))
PLAIN = Kind('None, since records name scores without one', lambda value: value in (None, ''))
DEVICE = Kind("'cpu' or 'gpu'", lambda value: value in ('cpu', 'gpu'))
UNSET = Kind('no such setting: checkpoints are found by their usual names and place', lambda value: value is None)
ITERATIONS = Kind('False, since trainings count iterations', lambda value: value is False)
CLASSES = Kind('no such setting: the class of the dataset says what its masks hold', lambda value: value is None)
SIZE = Kind('(height, width) in pixels', is_pair)
EVERY = Kind('a whole number, at least 1, or -1 for never', lambda value: is_whole(value, 1) or value == -1)
HOOKS = Kind(
    f'a list of dict(type=..., ...) with {" and ".join(sorted(NEEDED_HOOKS))}, as in configs/_base_/default_runtime.py',
    lambda value: _are_parts(value) and {str(hook['type']) for hook in value} >= NEEDED_HOOKS,
)
KEPT = Kind('2 or more, or -1 for all', lambda value: is_whole(value, 1) or value == -1)
SEED = Kind(
    'a whole number from 0 to 4294967295, which the record tells and a resume must know',
    lambda value: is_whole(value, 0) and value < 1 << 32,
)
EACH_ONCE = Kind(
    "dict(type='DefaultSampler', ...), which takes every scan once",
    lambda value: _is_part(value) and value['type'] == 'DefaultSampler',
)
NO_FP16 = _only(False, 'since no record would tell; amp_scoring=True or tools/test.py --amp score in 16 bits')
ALL_SCANS = 'since scores are those of all scans of the split'

# From the outside inwards. '?': may be missing. A list on the way stands for each of its items, '*' for each item of a group.
RULES = (
    ('model', PART), ('model.backbone', PART), ('model.decode_head', ONE_OR_MORE),
    ('model.auxiliary_head?', _or_none(ONE_OR_MORE)), ('model.data_preprocessor', PART),
    ('model.decode_head.loss_decode?', ONE_OR_MORE), ('model.auxiliary_head.loss_decode?', ONE_OR_MORE),
    *(
        (f'{loader}_dataloader{place}', kind)
        for loader in ('train', 'val')
        for place, kind in (
            ('', GROUP), ('.batch_size', _whole(1)), ('.num_workers?', _whole(0)), ('.sampler?', _or_none(PART)),
            ('.batch_sampler?', _or_none(PART)), ('.dataset', PART),
            ('.dataset.type', TEXT), ('.dataset.size_dir', TEXT), ('.dataset.truth_dir?', _or_none(TEXT)),
            ('.dataset.scan_size?', _or_none(SIZE)), ('.dataset.max_refetch?', _whole(0)), ('.dataset.pipeline', PARTS),
            ('.dataset.pipeline.type', TEXT), ('.dataset.metainfo?', CLASSES),
            ('.dataset.subset', Kind(f"'{loader}'", lambda value, own=loader: value == own)),
        )
    ),
    ('val_dataloader.sampler', EACH_ONCE), ('val_dataloader.drop_last?', _only(False, ALL_SCANS)),
    ('val_dataloader.dataset.indices?', _only(None, ALL_SCANS)),
    ('val_evaluator', GROUP), ('val_evaluator.ignore_index?', _whole(0)), ('val_evaluator.prefix?', PLAIN),
    ('val_evaluator.collect_device?', DEVICE), ('log_processor?', _or_none(GROUP)), ('log_processor.window_size?', _whole(1)),
    ('optim_wrapper', PART), ('optim_wrapper.optimizer', PART),
    ('param_scheduler?', _or_none(Kind(ONE_OR_MORE.says, lambda value: _is_part(value) or _are_parts(value)))),
    ('train_cfg', GROUP), ('train_cfg.max_iters', _whole(1)), ('train_cfg.val_interval', _whole(1)),
    ('param_scheduler.begin?', _whole(0)), ('param_scheduler.end?', _whole(1)), ('train_cfg.val_begin?', _whole(0)),
    ('val_cfg.fp16?', NO_FP16), ('test_cfg.fp16?', NO_FP16),
    ('default_scope', TEXT), ('data_root', TEXT), ('split', TEXT), ('work_dir?', _or_none(TEXT)),
    ('randomness', GROUP), ('randomness.seed', SEED), ('randomness.deterministic?', FLAG), ('randomness.diff_rank_seed?', FLAG),
    ('env_cfg', GROUP), ('env_cfg.dist_cfg', GROUP),
    ('default_hooks', GROUP), ('default_hooks.*', _or_none(PART)), ('default_hooks.timer?', PART),
    ('default_hooks.checkpoint.interval?', EVERY), ('default_hooks.checkpoint.max_keep_ckpts?', KEPT),
    ('default_hooks.checkpoint.by_epoch', ITERATIONS), ('default_hooks.checkpoint.out_dir?', UNSET),
    ('default_hooks.checkpoint.filename_tmpl?', UNSET), ('default_hooks.logger.interval?', _whole(1)),
    ('custom_hooks', HOOKS), ('init?', _or_none(GROUP)),
)  # fmt: skip


def check_kinds(cfg: Config, path: str | Path) -> None:
    """Refuse a setting that is missing or of another kind than it can be.

    Args:
        cfg: As read from ``path``, with its overrides.
        path: For messages.

    Raises:
        InputError: Naming the first such setting, its value, and what was expected.
    """
    for rule, kind in RULES:
        place, optional = rule.removesuffix('?'), rule.endswith('?')
        for where, group, key in _places(cfg, place.split('.')):
            if (key not in group and optional) or (key in group and kind.holds(group[key])):
                continue
            if group.get(key) is None and group is cfg:
                raise InputError(f"{path}: no '{where}'; build on the configs in configs/_base_")
            found = f'{where} is {_shown(group[key])}' if key in group else f"no '{where}'"
            raise InputError(f'{path}: {found}; expected {kind.says}')


def refuse_nan(value: Any, where: str, path: str | Path) -> None:
    """Refuse NaN and keys that are no text, however deep in a setting they are.

    Raises:
        InputError: Naming the place.
    """
    if isinstance(value, float) and math.isnan(value):
        raise InputError(f'{path}: {where} is {value}; expected a number')
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        if isinstance(value, dict) and not isinstance(key, str):
            raise InputError(f'{path}: {where} has a setting called {reprlib.repr(key)}; expected text')
        refuse_nan(item, f'{where}.{key}', path)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return f'dict(type={reprlib.repr(value["type"])}, ...)' if 'type' in value else 'a group without type'
    return reprlib.repr(value)


def _places(node: Any, parts: list[str], before: str = '') -> Iterator[tuple[str, Any, str]]:
    """Find a place: what to call it, and the group and key that it is. Where a group on the way is missing there is none."""
    if isinstance(node, (list, tuple)):
        for number, item in enumerate(node):
            yield from _places(item, parts, f'{before}{number}.')
    elif isinstance(node, (Config, dict)):
        for key in list(node) if parts[0] == '*' else parts[:1]:
            if len(parts) == 1:
                yield f'{before}{key}', node, key
            else:
                yield from _places(node.get(key), parts[1:], f'{before}{key}.')
