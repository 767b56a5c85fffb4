"""Runs of configs that belong to no table of the paper."""

from collections.abc import Sequence
from typing import Any

from octfluid.records.runs import Run, summarise
from octfluid.records.starts import file_label
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import SCORES, percent_spread


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect the scores of runs whose config belongs to no table of its own.

    Args:
        runs: Unique runs.

    Returns:
        ``groups``: one mapping for runs that agree in config, kind, split, initial weights, iterations and variant, with the
        summary over their seeds; ``not_used``: label and reason.

    Raises:
        InputError: Runs of one group differ in config content, initial weights or scored files.
    """
    groups: dict[tuple, list[Run]] = {}
    not_used = []
    for run in runs:
        record = run.record
        if run.changed:
            not_used.append([run.label, 'overrides ' + ', '.join(run.changed)])
            continue
        initial = file_label(run.source, run.source_iterations)
        key = (record['config'], record['kind'], record['split'], initial, record['iterations'], record['variant'])
        groups.setdefault(key, []).append(run)
    names = ('config', 'kind', 'split', 'init', 'iterations', 'variant')
    rows = [
        {**dict(zip(names, key, strict=True)), 'foreground': group[0].foreground, **summarise(group)}
        for key, group in sorted(groups.items())
    ]
    return {'groups': rows, 'not_used': sorted(not_used)}


def render(recipes: dict[str, Any], beside: str = '') -> str:
    """Return ``recipes.md`` from the output of `build`, with a section on what others report."""
    text = f'# Our own recipes\n\n{md.WRITTEN_BY}\n\n'
    text += summary_table(recipes) or 'No run is recorded.\n'
    if recipes['groups']:
        text += '\nScores are percent, pooled over all pixels of the scored images: mean ± sample standard deviation over n '
        text += 'seeds.\n'
        text += ''.join(f'\n{note}\n' for note in md.mixed_notes(text))
    return text + beside + md.not_used_section(recipes['not_used'])


def summary_table(recipes: dict[str, Any]) -> str:
    """Return one line per group of runs as a Markdown table; empty without any."""
    scores = ['mIoU', 'mDice', 'foreground Dice', 'foreground IoU']
    header = ['config', 'run', 'split', 'initial weights', 'iterations', *scores, 'seeds']
    lines = [
        [
            f'`{group["config"]}`',
            group['kind'] + (f', {group["variant"]}' if group['variant'] else ''),
            group['split'],
            group['init'],
            str(group['iterations']),
            *(percent_spread(group[name]) for name in SCORES),
            md.seeds(group),
        ]
        for group in recipes['groups']
    ]
    return md.table(header, lines) if lines else ''
