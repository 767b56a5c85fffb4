"""How long recorded runs took, for those who wonder what a command will cost."""

import statistics
from collections.abc import Sequence
from typing import Any

from octfluid.records.runs import Run
from octfluid.records.starts import thousands
from octfluid.reporting import markdown as md
from octfluid.reporting.folds import protocol_of

# What a table is about; a run on another split says so.
SPLITS = {'hrf': 'usual', 'table1': 'all', 'table2': 'paper', 'ablations': 'paper', 'recipes': 'paper'}
# A shorter training is one of its own; what it did in its time is still that of its config.
_MAY_CHANGE = {'hrf': {'train_cfg.max_iters'}}
TABLES = {'hrf': 'vessels', 'table1': 'table 1', 'table2': 'table 2', 'ablations': 'ablation', 'recipes': 'recipe'}


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the wall times of the runs of the paper's two tables, of the trainings before them, of the ablations and recipes.

    Args:
        runs: Unique runs.

    Returns:
        One mapping for each table, config, kind, protocol (the folds of leave-one-subject-out are one), number of iterations,
        variant, overridden switches of speed, device and precision, in this order: ``table``, ``config`` (stem), ``kind``,
        ``split`` (the protocol), ``iterations``, ``variant``, ``speed`` (`Run.speed`), ``device``, ``precision``, ``images``
        (scored), ``n`` (runs) and ``wall_seconds`` (their median). Runs with overrides that change the result are left out:
        they are not what the config describes.
    """
    groups: dict[tuple, list[Run]] = {}
    order = list(TABLES)
    for run in runs:
        record = run.record
        if run.table in TABLES and set(run.changed) <= _MAY_CHANGE.get(run.table, set()):
            split = protocol_of(record['split'])
            what = (run.config_stem, record['kind'], split, record['iterations'], record['variant'], run.speed)
            groups.setdefault((order.index(run.table), *what, record['device'], record['precision']), []).append(run)
    names = ('config', 'kind', 'split', 'iterations', 'variant', 'speed', 'device', 'precision')
    return [
        {
            'table': order[key[0]],
            **dict(zip(names, key[1:], strict=True)),
            'speed': list(key[6]),
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
        special = [f'split {group["split"]}'] if group['split'] != SPLITS[group['table']] else []
        # Scoring in 16 bits is a variant too, and the last column says that already.
        special += [group['variant']] if group['variant'] not in ('', group['precision']) else []
        special += [f'`{setting}`' for setting in group['speed']]
        lines.append([
            ', '.join([f'{TABLES[group["table"]]}: `{group["config"]}`', *special]),
            f'{work}{group["images"]} images scored',
            md.duration(group['wall_seconds']) + ('' if group['n'] == 1 else f' (median of {group["n"]})'),
            f'{group["device"]}, {group["precision"]}',
        ])  # fmt: skip
    return md.table(['run', 'work', 'wall time', 'device and precision'], lines) if lines else ''
