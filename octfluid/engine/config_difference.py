"""A resolved config as text, and what differs between two of them."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from mmengine.config import Config

from octfluid.engine.config import KNOWN_KEYS

NOT_SET = 'not set'
# `load_config` makes these from validation's and takes no config that brings its own.
_COPIES = ('test_dataloader', 'test_evaluator')


def settings_of(cfg: Config) -> dict[str, Any]:
    """Return the settings of a resolved config that something reads, as plain dicts, lists and tuples.

    Args:
        cfg: From `octfluid.engine.config.load_config`.

    Returns:
        By top-level key. Left out are variables of the config files, which may well say something else than the settings that
        were made of them, and the test dataloader and evaluator, which equal validation's.
    """
    return {key: value for key, value in cfg.to_dict().items() if key in KNOWN_KEYS and key not in _COPIES}


def config_text(cfg: Config) -> str:
    """Return a resolved config as Python text: one file without bases that `load_config` resolves to the same settings.

    Args:
        cfg: From `octfluid.engine.config.load_config`.
    """
    return Config(settings_of(cfg)).pretty_text


def difference(first: Config, second: Config) -> list[str]:
    """Say what differs between two resolved configs, one line a key: ``key: value in the first -> value in the second``.

    Args:
        first: From `octfluid.engine.config.load_config`.
        second: Likewise.

    Returns:
        Lines in the order of the keys; empty when the settings are the same. A key that one of them lacks is ``not set``
        there. The elements of a list whose elements have a ``type``, such as a pipeline's steps, are matched by that type:
        ``[2]`` is the third element of both configs or, where the other has no such element, of the one that has it;
        ``[2 -> 3]`` is the third of the first and the fourth of the second. A list and a tuple of the same values are the same.
    """
    return [f'{key}: {old} -> {new}' for key, old, new in _differences('', settings_of(first), settings_of(second))]


def _differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted(set(old) | set(new)):
            inner = f'{key}.{name}' if key else name
            if name in old and name in new:
                yield from _differences(inner, old[name], new[name])
            else:
                yield inner, *(repr(side[name]) if name in side else NOT_SET for side in (old, new))
    elif _has_types(old) and _has_types(new):
        yield from _element_differences(key, old, new)
    # Not `==`, to which 1, 1.0 and True are the same.
    elif repr(_listed(old)) != repr(_listed(new)):
        yield key, repr(old), repr(new)


def _element_differences(key: str, old: list, new: list) -> Iterator[tuple[str, str, str]]:
    types = [[repr(element['type']) for element in side] for side in (old, new)]
    for what, old_start, old_end, new_start, new_end in SequenceMatcher(None, *types, autojunk=False).get_opcodes():
        for step in range(max(old_end - old_start, new_end - new_start)):
            at, to = old_start + step, new_start + step
            if what == 'equal':
                yield from _differences(f'{key}[{at}]' if at == to else f'{key}[{at} -> {to}]', old[at], new[to])
                continue
            here, there = at < old_end, to < new_end
            place = f'{at}' if not there or at == to else f'{to}' if not here else f'{at} -> {to}'
            yield f'{key}[{place}]', repr(old[at]) if here else NOT_SET, repr(new[to]) if there else NOT_SET


def _has_types(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(element, Mapping) and 'type' in element for element in value)


def _listed(value: Any) -> Any:
    """Return a value with its tuples made lists and its dicts sorted."""
    if isinstance(value, Mapping):
        return {key: _listed(value[key]) for key in sorted(value)}
    return [_listed(element) for element in value] if isinstance(value, (list, tuple)) else value
