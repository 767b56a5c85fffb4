"""The page on speed: wall times of the recorded runs, and the benchmarks of `tools/benchmark.py`."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.runs import Run
from octfluid.reporting.folds import protocol_of
from octfluid.reporting.published import grouped
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.benchmark/1'
FOLDER = 'benchmarks'
"""Published benchmarks are in this folder next to the pages."""
KINDS = ('train', 'infer', 'data')
_TABLES = ('hrf', 'table1', 'table2', 'ablations', 'recipes')


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

    def key(run: Run) -> tuple:
        record = run.record
        return (_TABLES.index(run.table), run.config_stem, record['kind'], protocol_of(record['split']), record['iterations'],
                record['variant'], run.speed, record['device'], record['precision'])  # fmt: skip

    allowed = {'hrf': {'train_cfg.max_iters'}}
    kept = [run for run in runs if run.table in _TABLES and set(run.changed) <= allowed.get(run.table, set())]
    names = ('table', 'config', 'kind', 'split', 'iterations', 'variant', 'speed', 'device', 'precision')
    return [
        {
            **dict(zip(names, (_TABLES[key[0]], *key[1:]), strict=True)),
            'images': len(members[0].record['images']),
            'n': len(members),
            'wall_seconds': round(statistics.median(run.record['wall_seconds'] for run in members), 3),
        }
        for key, members in grouped(kept, key).items()
    ]
