"""What a checkpoint must look like: the rules behind `octfluid.engine.checkpoint.read_checkpoint`.

Our own (they have an entry ``run``) are checked to the last entry that anything reads, so that nothing behind this need ask
again. What others say beside their weights is for their own programs, and dropped.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor

from octfluid.records.fields import (
    AMOUNT,
    COUNT,
    FLAG,
    HASH,
    INIT,
    LIST,
    NAME,
    OBJECT,
    OPTIONAL_COUNT,
    PRECISIONS,
    TEXT,
    check_object,
    check_values,
    is_number,
    is_text,
    one_of,
    optional,
    refuse,
)
from octfluid.utils.errors import InputError
from octfluid.utils.text import parse_json

_PLAIN = frozenset(
    getattr(torch, name)
    for name in ('float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')
)
_DEEPEST = 20  # levels within each other, of which a checkpoint has six; one can hold itself
_MOST = 1_000_000  # values; with a list that is in a list ten times, and so on, a small file can have more than memory holds


def _is_options(value: Any) -> bool:
    """Tell whether a text is JSON that a record can hold as its ``overrides``."""
    try:
        content = parse_json(value, '')
        check_values('', '', content)
    except (TypeError, InputError):
        return False
    return isinstance(content, dict)


def _is_best(value: Any) -> bool:
    name = PurePath(value).name if isinstance(value, str) else ''
    return name.startswith('best_') and name.endswith('.pth')


_RUN = {
    'init': optional(OBJECT),
    'wall_seconds': AMOUNT,
    'settings': OBJECT,
    'data_sha256': optional(HASH),
    'dataset': TEXT,
    'overrides': (_is_options, 'an object of options as JSON'),
}
_SETTINGS = {
    'split': NAME,
    'seed': OPTIONAL_COUNT,
    'precision': one_of(PRECISIONS),
    'init': optional((lambda value: isinstance(value, list) and all(map(is_text, value)), 'a list of file names')),
    'processes': COUNT,
    'config': HASH,
}
# Nothing else of ``meta`` may go on from here: mmengine's resume would run an entry ``config`` as Python code.
_META = {'epoch': COUNT, 'iter': COUNT, 'seed': OPTIONAL_COUNT}
_PASSED_ON = (*_META, 'dataset_meta')
_HUB = {'scalars': OBJECT, 'info': OBJECT}
_SERIES = dict.fromkeys(
    ('values', 'counts'), (lambda value: isinstance(value, Tensor) and value.ndim == 1, 'a tensor of one dimension')
)
_INFO = {
    'best_score': (is_number, 'a finite number'),
    'best_ckpt': (_is_best, 'the name of a checkpoint, best_*.pth'),
    'keep_ckpt_ids': (lambda value: isinstance(value, list) and all(COUNT[0](one) for one in value), 'a list of iterations'),
}
_FOR_RESUME = {'message_hub': OBJECT, 'optimizer': OBJECT, 'param_schedulers': LIST, 'ema_state_dict': OBJECT}


def checked_content(content: Any, where: str) -> dict[str, Any]:
    """Check what a torch file holds.

    Args:
        content: What was read.
        where: The file, for messages.

    Returns:
        ``state_dict`` and ``meta`` and, of a checkpoint of our own, all else that is read of one. What is there is well formed.

    Raises:
        InputError: No weights, or a checkpoint of our own that is not as it was written.
    """
    if not isinstance(content, dict):
        raise InputError(f'{where}: holds a {type(content).__name__}; expected a dict of tensors')
    if 'state_dict' not in content:
        content = {'state_dict': content}
    weights = content['state_dict']
    if not isinstance(weights, Mapping) or not all(isinstance(name, str) for name in weights):
        raise InputError(f'{where}: holds no weights; expected a dict of tensors by name')
    if 'run' not in content:
        check_tensors(weights, where)
        meta = content.get('meta')
        meta = meta if isinstance(meta, Mapping) else {}
        return {'state_dict': weights, 'meta': {key: meta[key] for key, rule in _META.items() if rule[0](meta.get(key, ''))}}
    where = f'{where}: damaged, fetch or write it again'
    _check_plain(content, where)
    check_tensors(weights, where)
    _check_own(content, where)
    return {**content, 'meta': {key: content['meta'][key] for key in _PASSED_ON if key in content['meta']}}


def check_tensors(tensors: Mapping[str, Any], where: str) -> None:
    """Check that tensors are what a network can take over; values that are none are left alone.

    Raises:
        InputError: One is sparse, quantized, complex, without values, or larger than what the file holds of it.
    """
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            _check_tensor(value, name, where)


def _check_tensor(tensor: Tensor, name: str, where: str) -> None:
    whole = tensor.layout is torch.strided and not tensor.is_nested and not tensor.is_meta
    if not whole or tensor.dtype not in _PLAIN:
        kind = 'nested' if tensor.is_nested else 'without values' if tensor.is_meta else f'{tensor.layout}, {tensor.dtype}'
        raise InputError(f'{where}: {_shown(name)} is a tensor that is {kind}; expected a dense one of real numbers')
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InputError(
            f'{where}: {_shown(name)} claims the shape {tuple(tensor.shape)}, but the file does not hold as many values; '
            'expected whole tensors'
        )


def _shown(name: str) -> str:
    return ' '.join(name.split())[:100]


def _check_plain(content: Any, where: str) -> None:
    """Refuse all but sound tensors, plain values, and lists and dicts of them, few enough to look at each."""
    waiting, found = [('', content, 0)], 0
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            _check_tensor(value, name, where)
        elif isinstance(value, Mapping | list | tuple):
            found += len(value)
            if depth == _DEEPEST or found > _MOST:
                raise InputError(f'{where}: {_shown(name)} holds too many values or levels; expected those of a training')
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, item in items:
                known = isinstance(key, str | int) and _is_plain(key)
                if not known or not (_is_plain(item) or isinstance(item, Tensor | Mapping | list | tuple)):
                    kind = type(item if known else key).__name__
                    raise InputError(f'{where}: {_shown(name) or "it"} holds a {kind}; expected tensors and plain values')
                waiting.append((f'{name[:100]}.{key}'.lstrip('.'), item, depth + 1))


def _is_plain(value: Any) -> bool:
    if isinstance(value, int):  # of those with thousands of digits Python makes no text for a message
        return abs(value) < 1 << 64
    return value is None or isinstance(value, str | float)


def _check_own(content: Mapping[str, Any], where: str) -> None:
    """Check every entry of a checkpoint of our own that anything reads."""
    check_object(where, '', content, {'run': OBJECT, 'meta': OBJECT})
    run = content['run']
    check_object(where, 'run', run, _RUN)
    check_object(where, 'run.settings', run['settings'], _SETTINGS)
    if 'deterministic' in run['settings']:  # noted since later
        check_object(where, 'run.settings', run['settings'], {'deterministic': FLAG})
    if (init := run['init']) is not None:
        check_object(where, 'run.init', init, INIT)
        if surplus := [key for key in init if key not in INIT]:
            refuse(where, f'run.init.{surplus[0]}', init[surplus[0]], f'no entry but {", ".join(INIT)}')
        if init['loaded'] > init['total']:
            refuse(where, 'run.init.loaded', init['loaded'], f'at most run.init.total = {init["total"]}')
    check_object(where, 'meta', content['meta'], _META)
    # Weights can do without what follows, which only a resume asks for.
    check_object(where, '', content, {key: rule for key, rule in _FOR_RESUME.items() if key in content})
    if 'message_hub' in content:
        _check_hub(content['message_hub'], where)


def _check_hub(hub: Mapping[str, Any], where: str) -> None:
    check_object(where, 'message_hub', hub, _HUB)
    for name, series in hub['scalars'].items():
        if not is_text(name):
            refuse(where, 'message_hub.scalars', name, 'names of series')
        check_object(where, f'message_hub.scalars.{name}', series, _SERIES)
        if len(series['values']) != len(series['counts']):
            found = len(series['counts'])
            refuse(where, f'message_hub.scalars.{name}.counts', found, f'as many as values, {len(series["values"])}')
    for start, rule in _INFO.items():
        named = [name for name in hub['info'] if str(name).startswith(start)]
        check_object(where, 'message_hub.info', hub['info'], dict.fromkeys(named, rule))
