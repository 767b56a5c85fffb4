"""The pages on speed (wall times of the recorded runs, `tools/benchmark.py`) and on checks of the shipped model."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from octfluid.records.runs import Run, grouped
from octfluid.records.schema import FileModel, validated
from octfluid.reporting.folds import protocol_of
from octfluid.utils.text import read_json

FOLDER, CHECKS = 'benchmarks', 'prediction'
"""Published benchmarks and checks of predictions are in these folders next to the pages."""
KINDS = ('train', 'infer', 'data')
_TABLES = ('hrf', 'table1', 'table2', 'ablations', 'recipes')


class _Benchmark(FileModel):
    schema_: Literal['octfluid.benchmark/1'] = Field(alias='schema')
    kind: Literal[KINDS]


class _Check(FileModel):
    schema_: Literal['octfluid.prediction-check/1'] = Field(alias='schema')
    kind: Literal['guard', 'areas']


def _read(model: type[FileModel], folder: Path) -> dict[str, dict[str, Any]]:
    found = {path.name: read_json(path) for path in sorted(Path(folder).glob('*.json'))}
    for name, content in found.items():
        validated(model, content, f'{folder}/{name}')
    return found


def read_benchmarks(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the benchmarks in a folder that need not exist, by file name; an InputError names any other file."""
    return _read(_Benchmark, folder)


def read_checks(folder: Path) -> dict[str, Any]:
    """Return the checks of predictions in a folder that need not exist, by kind; an InputError names any other file."""
    return {content['kind']: content for content in _read(_Check, folder).values()}


def build(benchmarks: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return what the page shows, by kind: the records without single timings, each with its ``file``."""
    left_out = ('schema', 'contenders', 'timings', 'rates', 'git', 'source_sha256', 'versions')
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
