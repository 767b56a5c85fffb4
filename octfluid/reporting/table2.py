"""The paper's table 2 and our runs of its rows."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from octfluid.metrics.confusion import predict_nothing, rounded
from octfluid.metrics.threshold_free import THRESHOLD_FREE, threshold_free
from octfluid.records.runs import Run, check_same, conditions_of, grouped, select_runs, summarise, weights_of, why_not
from octfluid.reporting.published import fraction, read_published

_PAPER_COLUMNS = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'Dice_fluid', 'IoU': 'IoU_fluid'}


def paper_rows() -> list[dict[str, Any]]:
    """Return the eleven rows as published.

    Returns:
        Mappings with ``row`` and ``iterations`` (int), ``config``, ``setting`` (one line of text), and ``paper``: mIoU, mDice,
        and the fluid's Dice and IoU as fractions, None where the authors left none. The sources are named in the data file.
    """
    return [_paper_row(line) for line in read_published('paper_table2.csv')]


def _paper_row(line: dict[str, str]) -> dict[str, Any]:
    setting = [f'{line["iterations"]} iterations', f'crop {line["crop"]}' if line['crop'] else 'no crop']
    setting += [f'{line["flip"]} flip'] if line['flip'] != 'no' else []
    setting += [line['loss'], line['optimizer'], f'weight decay {line["weight_decay"]}']
    return {
        'row': int(line['row']),
        'config': f'configs/table2/{line["config"]}.py',
        'iterations': int(line['iterations']),
        'setting': ', '.join(setting),
        'paper': {name: fraction(line[column]) for name, column in _PAPER_COLUMNS.items()},
    }


def row_number(config_stem: str) -> int | None:
    """Return the row that a config of ``configs/table2/`` is, from its two-digit prefix; None if it has none."""
    match = re.match(r'(\d\d)_', config_stem)
    return int(match[1]) if match else None


def select(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Return the runs that count, and label and reason of every other run."""
    iterations = {row['row']: row['iterations'] for row in paper_rows()}
    return select_runs(runs, lambda run: why_not(run, iterations.get(row_number(run.config_stem))))


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Returns:
        ``rows`` (as published), ``sections`` (`Start.key` of the initial weights -> row -> `summary_of` our runs), ``weights``
        (the same keys -> files), ``reference`` (scores of calling every pixel background, None without runs), ``images``
        (number of scored images, or None), ``devices``, ``precisions`` (name -> number of runs), ``not_used`` (label, reason).

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    used, not_used = select(runs)
    check_same(used, 'images')
    sections, weights = {}, {}
    for start, members in grouped(used, lambda run: run.start).items():
        check_same(members, 'weights')
        rows = grouped(members, lambda run: row_number(run.config_stem))
        sections[start.key] = {str(row): summary_of(mine) for row, mine in rows.items()}
        weights[start.key] = weights_of(members)
    return {
        'rows': paper_rows(),
        'sections': sections,
        'weights': weights,
        'reference': _background_everywhere(used[0]) if used else None,
        'images': len(used[0].record['images']) if used else None,
        **conditions_of(used),
        'not_used': not_used,
    }


def _background_everywhere(run: Run) -> dict[str, float | None]:
    nothing = replace(run, record={**run.record, 'images': predict_nothing(run.record['images'])})
    return {name: rounded(value) for name, value in nothing.scores.items()}


def summary_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Return `summarise` of runs, their ``records``, and the scores of `threshold_free` if every image has a histogram."""
    summary = {**summarise(runs), 'records': sorted(run.label for run in runs)}
    found = [[image['extra'].get('logit_histogram') for image in run.record['images']] for run in runs]
    if all(histogram for histograms in found for histogram in histograms):
        scores = [threshold_free(histograms) for histograms in found]
        for name in THRESHOLD_FREE:
            values = [score[name] for score in scores if score[name] is not None]
            summary[name] = {
                'mean': rounded(statistics.fmean(values)) if values else None,
                'sd': rounded(statistics.stdev(values)) if len(values) > 1 else None,
            }
    return summary
