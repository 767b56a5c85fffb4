"""What each ingredient of the recipe is worth: one added at a time, on inner splits, so that no reported image takes part."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from octfluid.datasets.splits import INNER_FOLDS, inner_parent
from octfluid.metrics import bootstrap as uncertainty
from octfluid.records.runs import Run, check_averageable, conditions_of
from octfluid.reporting import markdown as md
from octfluid.reporting.estimates_page import estimate, p_value, points_interval
from octfluid.reporting.published import read_published
from octfluid.reporting.same_images import Scored, scored

SPLIT = 'paper'
"""The split inside whose training set the ingredients were compared."""
FOLDER = 'configs/duke_dme/'


def is_inner(run: Run) -> bool:
    """Tell whether a run scored an inner split: it serves to choose settings and stands in no table of scores."""
    return inner_parent(run.record['split']) is not None


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Pool the inner folds of each config and compare it with the one that it builds on.

    Args:
        runs: Unique runs; those of other configs, kinds, variants or splits, or with overrides, are left out.

    Returns:
        ``rows``: for each line of ``recipe_steps.csv`` its ``config``, ``against`` and ``what``, and ``missing`` (inner folds
        without a run). Where none is missing also ``iterations``, ``seeds``, ``images``, ``subjects``, ``measures`` (``dice``,
        ``precision`` and ``recall`` of `uncertainty.estimates`) and ``difference``: the output of `uncertainty.paired` with
        ``p_holm``, None without a complete config to compare with. ``conditions``: of all runs used.

    Raises:
        InputError: Runs that would be averaged differ in config, weights or scored files.
    """
    lines = read_published('recipe_steps.csv')
    of = {line['config']: _runs_of(line['config'], runs) for line in lines}
    pooled = {config: _pool(members) for config, members in of.items()}
    rows = [_row(line, of, pooled) for line in lines]
    compared = [row for row in rows if row.get('difference')]
    for row, corrected in zip(compared, uncertainty.holm([row['difference']['p'] for row in compared]), strict=True):
        row['difference']['p_holm'] = corrected
    return {'rows': rows, 'conditions': conditions_of([run for config in pooled if pooled[config] for run in of[config]])}


def _names() -> list[str]:
    return [f'{SPLIT}-inner{fold}' for fold in range(1, INNER_FOLDS + 1)]


def _runs_of(stem: str, runs: Sequence[Run]) -> list[Run]:
    return [
        run
        for run in runs
        if run.config_stem == stem
        and run.record['config'].startswith(FOLDER)
        and (run.record['kind'], run.record['variant']) == ('train', '')
        and (run.source == 'scratch') != stem.endswith('_hrf')
        and run.record['split'] in _names()
        and not run.changed
    ]


def _pool(runs: Sequence[Run]) -> Scored | None:
    """Put the folds of every seed that has all of them together; None if none has."""
    for name in _names():
        check_averageable([run for run in runs if run.record['split'] == name])
    images: dict[int, dict[str, list]] = {}
    for run in runs:
        images.setdefault(run.record['seed'], {})[run.record['split']] = run.record['images']
    whole = {seed: [*chain(*folds.values())] for seed, folds in images.items() if len(folds) == INNER_FOLDS}
    return scored(whole) if whole else None


def _row(line: Mapping[str, str], of: Mapping[str, list[Run]], pooled: Mapping[str, Scored | None]) -> dict[str, Any]:
    config, against = line['config'], line['against']
    ours, reference = pooled[config], pooled.get(against)
    found = {run.record['split'] for run in of[config]}
    row = {**line, 'missing': [] if ours else [name for name in _names() if name not in found]}
    if ours is None:
        return row
    measures = uncertainty.estimates(ours)
    return row | {
        'iterations': of[config][0].record['iterations'],
        'seeds': len(ours.seeds),
        'images': len(ours.names),
        'subjects': len(set(ours.subjects)),
        'measures': {name: measures[name] for name in ('dice', 'precision', 'recall')},
        'difference': uncertainty.paired(ours, reference) if reference else None,
    }


def render(steps: Mapping[str, Any]) -> str:
    """Return ``recipe_steps.md`` from the output of `build`."""
    text = f'# What each ingredient is worth\n\n{md.WRITTEN_BY}\n\n{table(steps)}\n## How to read it\n\n'
    return text + md.bullets([
        "Trained on two thirds of the patients in the training set of the paper's split and scored on the other third, three "
        f"times (`{SPLIT}-inner1` to `{INNER_FOLDS}`), pooled: each of its 88 scans is scored once, by a network that saw "
        "neither it nor its patient. None of the 22 scans of the paper's score takes part.",
        'Scored at native resolution; percent; in brackets the 95 % interval over patients and seeds.',
        'Each of the first lines adds one ingredient to the line above it; the last lines change size or network of step 8.',
        'Differences are in points of fluid Dice; p is exact, by exchanging patients; Holm over all lines.',
        'Configs: `configs/duke_dme/compact.py`, `configs/duke_dme/steps/*.py` and `configs/duke_dme/beside/*.py`.',
        '"pending" means that not all three inner folds are recorded.',
        *md.conditions_notes(steps['conditions']),
    ])  # fmt: skip


def table(steps: Mapping[str, Any]) -> str:
    """Return one line a config as a Markdown table."""
    header = ['config', 'what', 'fluid Dice %', 'precision %', 'recall %', 'difference', 'p', 'p, Holm', 'iterations', 'seeds']
    lines = []
    for row in steps['rows']:
        cells = [f'`{row["config"]}`', row['what']]
        if 'measures' not in row:
            lines.append([*cells, md.PENDING, *['-'] * (len(header) - 3)])
            continue
        difference = row['difference']
        cells += [estimate(row['measures'][name], '%') for name in ('dice', 'precision', 'recall')]
        cells += (
            [points_interval(difference), p_value(difference['p']), p_value(difference['p_holm'])] if difference else ['-'] * 3
        )
        lines.append([*cells, str(row['iterations']), str(row['seeds'])])
    return md.table(header, lines)
