"""The page on speed: wall times of the recorded runs, and the benchmarks of `tools/benchmark.py`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.provenance import thousands
from octfluid.records.runs import Run
from octfluid.reporting.folds import protocol_of
from octfluid.reporting.formats import duration
from octfluid.reporting.pages import Page, notes
from octfluid.reporting.published import grouped
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.benchmark/1'
FOLDER = 'benchmarks'
"""Published benchmarks are in this folder next to the pages."""
KINDS = {'train': 'Training', 'infer': 'Scoring the validation scans', 'data': 'Training samples'}
# The title of each table, and the split that it is about; a run on another split is named.
_TABLES = {'hrf': ('vessels', 'usual'), 'table1': ('table 1', 'all'), 'table2': ('table 2', 'paper'),
           'ablations': ('ablation', 'paper'), 'recipes': ('recipe', 'paper')}  # fmt: skip
_HEADERS = {
    'data': ('config', 'times stock', 'samples a second', 'samples a second, stock', 'peak memory', 'measured'),
    'other': ('config', 'contender', 'times stock', 'a second', 'of the matrix rate', 'waiting for data',
              'mask pixels that differ', 'peak memory', 'measured'),
}  # fmt: skip


def read_benchmarks(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the published benchmarks, ``*.json`` in a folder that need not exist, by file name.

    Raises:
        InputError: A file is not JSON, or not a benchmark of one of `KINDS`.
    """
    found = {}
    for path in sorted(Path(folder).glob('*.json')):
        content = read_json(path)
        if not isinstance(content, dict) or content.get('schema') != SCHEMA or content.get('kind') not in KINDS:
            raise InputError(f'{path}: expected a benchmark with "schema": "{SCHEMA}" and "kind": one of {", ".join(KINDS)}')
        found[path.name] = content
    return found


def build(benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what the page shows, by kind: the records without single timings, each with its ``file``."""
    left_out = ('schema', 'contenders', 'timings', 'git', 'source_sha256', 'versions')
    shown = {kind: [] for kind in KINDS}
    for name, content in benchmarks.items():
        peaks = {contender: found['peak_bytes'] for contender, found in (content.get('contenders') or {}).items()}
        kept = {key: value for key, value in content.items() if key not in left_out}
        shown[content['kind']].append({'file': name, **kept, **({'peak_bytes': peaks} if peaks else {})})
    return shown


def build_run_times(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the wall times of recorded runs.

    Returns:
        One mapping for each ``table``, ``config`` (stem), ``kind``, ``split`` (the protocol: the folds of
        leave-one-subject-out are one), ``iterations``, ``variant``, ``speed`` (`Run.speed`), ``device`` and ``precision``,
        with ``images`` (scored), ``n`` (runs) and ``wall_seconds`` (their median).
    """
    order = list(_TABLES)

    def key(run: Run) -> tuple:
        record = run.record
        return (order.index(run.table), run.config_stem, record['kind'], protocol_of(record['split']), record['iterations'],
                record['variant'], run.speed, record['device'], record['precision'])  # fmt: skip

    allowed = {'hrf': {'train_cfg.max_iters'}}
    kept = [run for run in runs if run.table in _TABLES and set(run.changed) <= allowed.get(run.table, set())]
    names = ('table', 'config', 'kind', 'split', 'iterations', 'variant', 'speed', 'device', 'precision')
    return [
        {
            **dict(zip(names, (order[key[0]], *key[1:]), strict=True)),
            'images': len(members[0].record['images']),
            'n': len(members),
            'wall_seconds': round(statistics.median(run.record['wall_seconds'] for run in members), 3),
        }
        for key, members in grouped(kept, key).items()
    ]


def _run_row(group: Mapping[str, Any]) -> list[str]:
    title, split = _TABLES[group['table']]
    what = [f'{title}: `{group["config"]}`']
    what += [f'split {group["split"]}'] if group['split'] != split else []
    what += [group['variant']] if group['variant'] not in ('', group['precision']) else []
    what += [f'`{setting}`' for setting in group['speed']]
    work = f'{thousands(group["iterations"])} iterations, ' if group['kind'] == 'train' else ''
    wall = duration(group['wall_seconds']) + ('' if group['n'] == 1 else f' (median of {group["n"]})')
    return [', '.join(what), f'{work}{group["images"]} images scored', wall, f'{group["device"]}, {group["precision"]}']


def _share(value: float | None, digits: int = 0) -> str:
    return '-' if value is None else f'{100 * value:.{digits}f} %'


def _ratio(found: Mapping[str, Any]) -> str:
    return f'{found["ratio_median"]:.2f} ({found["ratio_min"]:.2f} to {found["ratio_max"]:.2f})'


def _rows(found: Mapping[str, Any]) -> list[list[str]]:
    settings, summary = found['settings'], found['summary']
    changed = ''.join(f', `{key}={json.dumps(value)}`' for key, value in sorted(found['overrides'].items()))
    config = f'[`{found["config"]}`]({FOLDER}/{found["file"]}){changed}'
    if found['kind'] == 'data':
        speeds = (f'{summary["fast_samples_per_second"]:.1f}', f'{summary["stock_samples_per_second"]:.2f}')
        peak = f'{found["memory"]["peak_rss_bytes"] / 1e6:.0f} MB'
        measured = f'{settings["repeats"]} x {settings["samples"]} samples, {found["device"]}'
        return [[config, _ratio(summary), *speeds, peak, measured]]
    measured = f'{settings["repeats"]} turns, {settings["device"]}'
    shares = (('share_of_matrix_rate', 0), ('share_waiting', 1), ('mask_difference', 4))
    return [
        [
            config, name, _ratio(one), f'{one["per_second"]:.3g} {settings["unit"]}s',
            *(_share(one.get(key), digits) for key, digits in shares),
            f'{found["peak_bytes"][name] / 1e6:.0f} MB', measured,
        ]
        for name, one in summary.items()
    ]  # fmt: skip


def page(speed: Mapping[str, Sequence[Mapping[str, Any]]], run_times: Sequence[Mapping[str, Any]]) -> Page:
    """Return ``speed.md`` from the outputs of `build` and `build_run_times`."""
    page = Page('speed.md', 'Speed')
    page.heading('Wall time of the recorded runs')
    page.table(['run', 'work', 'wall time', 'device and precision'], map(_run_row, run_times))
    for kind, title in KINDS.items():
        if speed[kind]:
            page.heading(title)
            page.table(_HEADERS.get(kind, _HEADERS['other']), [row for found in speed[kind] for row in _rows(found)])
    page.how_to_read(notes('speed'))
    return page
