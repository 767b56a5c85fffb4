"""How long recorded runs took, for those who wonder what a command will cost."""

import statistics
from collections.abc import Sequence
from typing import Any

from octfluid.evaluation import markdown as md
from octfluid.evaluation.runs import Run
from octfluid.evaluation.starts import thousands

TABLES = {'hrf': 'vessels', 'table1': 'table 1', 'table2': 'table 2', 'ablations': 'ablation'}


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the wall times of the runs of the paper's two tables, of the trainings before them and of the ablations.

    Args:
        runs: Unique runs.

    Returns:
        One mapping for each table, config, kind, split, number of iterations, device and precision, in this order: ``table``,
        ``config`` (stem), ``kind``, ``split``, ``iterations``, ``images`` (scored), ``device``, ``precision``, ``n`` (runs) and
        ``wall_seconds`` (their median).
    """
    groups: dict[tuple, list[Run]] = {}
    order = list(TABLES)
    for run in runs:
        record = run.record
        # A run with fewer iterations by an override is one of its own; other overrides hardly change the time.
        key = (record['kind'], record['split'], record['iterations'], record['device'], record['precision'])
        if run.table in TABLES:
            groups.setdefault((order.index(run.table), run.config_stem, *key), []).append(run)
    names = ('config', 'kind', 'split', 'iterations', 'device', 'precision')
    return [
        {
            'table': order[key[0]],
            **dict(zip(names, key[1:], strict=True)),
            'images': len(members[0].record['images']),
            'n': len(members),
            'wall_seconds': round(statistics.median(run.record['wall_seconds'] for run in members), 3),
        }
        for key, members in sorted(groups.items())
    ]


def render(groups: Sequence[dict[str, Any]]) -> str:
    """Return the output of `build` as a Markdown table; empty without runs."""
    lines = []
    for group in groups:
        work = f'{thousands(group["iterations"])} iterations, ' if group['kind'] == 'train' else ''
        lines.append([
            f'{TABLES[group["table"]]}: `{group["config"]}`',
            f'{work}{group["images"]} images scored',
            md.duration(group['wall_seconds']) + ('' if group['n'] == 1 else f' (median of {group["n"]})'),
            f'{group["device"]}, {group["precision"]}',
        ])  # fmt: skip
    return md.table(['run', 'work', 'wall time', 'device and precision'], lines) if lines else ''
