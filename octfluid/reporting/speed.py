"""The page of the published benchmarks, which `tools/benchmark.py` writes: training, scoring, B-scans, training samples."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octfluid.records.fields import TEXT, is_count, is_number
from octfluid.reporting import markdown as md
from octfluid.reporting import speed_growth, speed_launch, speed_turns
from octfluid.reporting.markdown import PENDING
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.benchmark/1'
KIND = 'data'
"""How fast training samples are made; the other kinds are those of `octfluid.reporting.speed_turns.TITLES` and of `_PARTS`."""
FOLDER = 'benchmarks'
"""Published benchmarks lie in this folder beside the pages."""

_PARTS = (speed_growth, speed_launch)
_NUMBERS = {
    'settings': ('samples', 'repeats', 'workers', 'scans'),
    'memory': ('decoded_bytes', 'peak_rss_bytes'),
    'summary': (
        'ratio_median',
        'ratio_min',
        'ratio_max',
        'stock_samples_per_second',
        'fast_samples_per_second',
        'largest_difference',
    ),
}


@dataclass(frozen=True)
class Benchmark:
    """One published benchmark: its file's name, and its content, checked as far as the page needs it."""

    name: str
    content: Mapping[str, Any]


def _need(path: Path, fits: bool, field: str, expected: str) -> None:
    if not fits:
        raise InputError(f'{path}: field {field}: expected {expected}; measure again with tools/benchmark.py')


def _check(path: Path, content: Any) -> None:
    schema = content.get('schema') if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise InputError(f'{path}: not a benchmark; expected JSON with "schema": "{SCHEMA}"')
    kinds = [KIND, *(part.KIND for part in _PARTS), *speed_turns.TITLES]
    _need(path, content.get('kind') in kinds, 'kind', ' or '.join(f'"{kind}"' for kind in kinds))
    for field in ('config', 'device'):
        _need(path, TEXT[0](content.get(field)), field, 'a text')
    _need(path, isinstance(content.get('overrides'), dict), 'overrides', 'an object')
    if content['kind'] != KIND:
        part = next((part for part in _PARTS if content['kind'] == part.KIND), speed_turns)
        for field, expected in part.faults(content):
            _need(path, False, field, expected)
        return
    for part, names in _NUMBERS.items():
        _need(path, isinstance(content.get(part), dict), part, 'an object')
        for name in names:
            value = content[part].get(name)
            _need(path, is_number(value) and value >= 0, f'{part}.{name}', 'a finite number, 0 or more')
    _need(path, isinstance(content['summary'].get('masks_equal'), bool), 'summary.masks_equal', 'true or false')
    shared = content['memory'].get('pss_bytes', '')
    _need(path, shared is None or is_count(shared), 'memory.pss_bytes', 'a number of bytes or null')


def read_benchmarks(folder: Path) -> list[Benchmark]:
    """Read the published benchmarks, ``*.json`` in a folder, by name.

    Args:
        folder: Need not exist; nothing has been measured then.

    Raises:
        InputError: A file is not JSON, or not a benchmark.
    """
    found = []
    for path in sorted(Path(folder).glob('*.json')):
        content = read_json(path)
        _check(path, content)
        found.append(Benchmark(path.name, content))
    return found


def build(benchmarks: Sequence[Benchmark]) -> dict[str, list[dict[str, Any]]]:
    """Collect what the page shows.

    Args:
        benchmarks: In any order.

    Returns:
        ``data``: by file name, mappings with ``file``, ``config``, ``overrides``, ``device``, ``settings``, ``memory`` (bytes)
        and ``summary`` (see docs/run_record.md); ``growth``: likewise, with ``volumes``;
        ``turns``: the output of `octfluid.reporting.speed_turns.build`.
    """
    keys = ('config', 'overrides', 'device', 'settings', 'memory', 'summary')
    ordered = sorted(benchmarks, key=lambda benchmark: benchmark.name)
    data = [
        {'file': benchmark.name, **{key: benchmark.content[key] for key in keys}}
        for benchmark in ordered
        if benchmark.content['kind'] == KIND
    ]
    turns = [benchmark for benchmark in ordered if benchmark.content['kind'] in speed_turns.TITLES]
    parts = {
        part.KIND: part.build([benchmark for benchmark in ordered if benchmark.content['kind'] == part.KIND]) for part in _PARTS
    }
    return dict(data=data, turns=speed_turns.build(turns), **parts)


def _megabytes(size: int | None) -> str:
    return '-' if size is None else f'{size / 1e6:.0f} MB'


def _line(found: Mapping[str, Any]) -> list[str]:
    memory, summary, settings = found['memory'], found['summary'], found['settings']
    changed = ''.join(f', `{key}={json.dumps(value)}`' for key, value in sorted(found['overrides'].items()))
    return [
        f'[`{found["config"]}`]({FOLDER}/{found["file"]}){changed}',
        f'{summary["ratio_median"]:.1f} ({summary["ratio_min"]:.1f} to {summary["ratio_max"]:.1f})',
        f'{summary["fast_samples_per_second"]:.1f}',
        f'{summary["stock_samples_per_second"]:.2f}',
        f'masks {"equal" if summary["masks_equal"] else "DIFFERENT"}, images within {summary["largest_difference"]} levels',
        f'{_megabytes(memory["decoded_bytes"])} for {settings["scans"]} scans',
        _megabytes(memory['peak_rss_bytes']),
        f'{_megabytes(memory["pss_bytes"])} with {settings["workers"]}',
        f'{settings["repeats"]} x {settings["samples"]}',
        found['device'],
    ]


def render(content: Mapping[str, Sequence[Mapping[str, Any]]], drawn: Sequence[str] = ()) -> str:
    """Return ``speed.md`` from the output of `build`; ``drawn`` are the names of the figures that there are."""
    header = ['config', 'ratio', 'samples/s, `window_first`', 'samples/s, stock', 'the same samples?', 'decoded scans']
    header += ['peak, one process', 'peak, all loader processes', 'repetitions x samples', 'device']
    lines = [_line(found) for found in content['data']] or [[PENDING, *['-'] * (len(header) - 1)]]
    notes = [
        *speed_turns.NOTES,
        speed_growth.NOTE,
        speed_launch.NOTE,
        'Training samples: one loader process on one thread, with `window_first`, which draws a window before it '
        "reads one, and with the stock pipeline. Both make the same samples by turns; the ratio is that of each pair's "
        'seconds: its median, and in brackets the lowest and the highest. "levels" are gray levels of 255.',
        'Samples a second are those of the median repetition, on a machine that may have had other work.',
        '"peak, one process" holds both ways of loading together; "peak, all loader processes" is the process and its workers, '
        'as many as named, with `window_first`, pages shared between them counted once.',
        f'"{PENDING}" means that nothing is recorded. Versions and commit are in the files.',
    ]
    text = f'# How fast\n\n{md.WRITTEN_BY}\n\n{speed_turns.render(content["turns"], FOLDER)}'
    text += speed_growth.render(content[speed_growth.KIND], FOLDER, drawn)
    text += speed_launch.render(content[speed_launch.KIND], FOLDER)
    text += f'## Training samples\n\n{md.table(header, lines)}\n'
    return text + '## How to read it\n\n' + md.bullets(notes)
