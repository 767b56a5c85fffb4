"""Ablations of row 10 of table 2, and row 10 by the length of the source training."""

from collections.abc import Sequence
from typing import Any

from octfluid.metrics.seed_intervals import difference
from octfluid.records.runs import Run, check_same, conditions_of, grouped, select_runs, summarise, weights_of, why_not
from octfluid.reporting import table2
from octfluid.reporting.published import read_published

REFERENCE_ROW, REFERENCE_HEAD = 10, 'pspnet'
LONG = 'row10_4000'
_COMPARED = ('Dice', 'mIoU')


def expected() -> dict[str, dict[str, Any]]:
    """Return the configs of ``configs/ablations`` by stem: ``title``, ``head`` and ``iterations``."""
    return {line.pop('stem'): {**line, 'iterations': int(line['iterations'])} for line in read_published('ablations.csv')}


def select(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Return the runs that count, and label and reason of every other run."""
    iterations = {stem: config['iterations'] for stem, config in expected().items()}
    return select_runs(runs, lambda run: why_not(run, iterations.get(run.config_stem)))


def build(runs: Sequence[Run], table2_runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the page.

    Args:
        runs: Unique runs of configs in ``configs/ablations``.
        table2_runs: Unique runs of configs in ``configs/table2``; those of row 10 are the reference.

    Returns:
        ``configs`` (see `expected`), ``sections`` (`Start.key` of the initial weights of ablations -> ``reference`` (summary
        of row 10, None without runs), ``runs`` (config stem -> summary and ``difference`` to the reference by score),
        ``weights``), ``by_length`` (one mapping for each kind of initial weights, the shorter source training first:
        ``start``, ``iterations``, ``weights``, ``short`` and ``long``, `table2.summary_of` row 10 at 400 and at 4 000
        iterations, None without runs), ``devices``, ``precisions``, ``not_used``.

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    used, not_used = select(runs)
    row10 = [run for run in table2.select(table2_runs)[0] if table2.row_number(run.config_stem) == REFERENCE_ROW]
    check_same(row10 + used, 'images')
    references, starts = (grouped(runs, lambda run: run.start) for runs in (row10, used))
    return {
        'configs': expected(),
        'sections': {start.key: _section_of(mine, references.get(start, [])) for start, mine in starts.items()},
        'by_length': _by_length(row10, [run for run in used if run.config_stem == LONG]),
        **conditions_of(row10 + used),
        'not_used': not_used,
    }


def _section_of(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, Any]:
    configs, found = expected(), {}
    check_same([*reference, *(run for run in runs if configs[run.config_stem]['head'] == REFERENCE_HEAD)], 'weights')
    standard = summarise(reference) if reference else None
    for stem in configs:
        if cell := [run for run in runs if run.config_stem == stem]:
            summary = summarise(cell)
            gaps = {name: difference(summary, standard, name) if standard else None for name in _COMPARED}
            found[stem] = {**summary, 'difference': gaps}
    return {'reference': standard, 'runs': found, 'weights': weights_of([*reference, *runs])}


def _by_length(row10: Sequence[Run], long: Sequence[Run]) -> list[dict[str, Any]]:
    known = grouped([run for run in (*row10, *long) if run.source_iterations is not None], lambda run: run.start)
    lines = []
    for start in sorted(known, key=lambda start: (start.iterations, start.source)):
        cells = [[run for run in runs if run.start == start] for runs in (row10, long)]
        short, longer = (table2.summary_of(cell) if cell else None for cell in cells)
        weights = weights_of(known[start])
        lines.append({'start': start.key, 'iterations': start.iterations, 'weights': weights, 'short': short, 'long': longer})
    return lines
