"""What the paper names or leaves open, beside row 10 of table 2; and row 10 by the length of the source training."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.records.runs import Run, check_comparable, check_one_start, conditions_of, summarise, weights_of, why_not
from octfluid.records.starts import FULL, PENDING_START, SCRATCH, Start, in_order, thousands
from octfluid.reporting import markdown as md
from octfluid.reporting import table2
from octfluid.reporting.difference import difference, points_interval
from octfluid.reporting.markdown import PENDING, SCORES, percent_spread
from octfluid.reporting.published import read_published

REFERENCE_ROW, REFERENCE_HEAD = 10, 'pspnet'
LONG = 'row10_4000'
FIGURE = 'row10_by_source_length.png'
_COMPARED = ('Dice', 'mIoU')


def expected() -> dict[str, dict[str, Any]]:
    """Return the configs of ``configs/ablations`` by stem: ``title``, ``head`` and ``iterations``."""
    return {line.pop('stem'): {**line, 'iterations': int(line['iterations'])} for line in read_published('ablations.csv')}


def select(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Choose the runs that count.

    Args:
        runs: Unique runs of configs in ``configs/ablations``.

    Returns:
        (runs, label and reason of every other run).
    """
    known, used, not_used = expected(), [], []
    for run in runs:
        config = known.get(run.config_stem)
        reason = why_not(run, config['iterations']) if config else 'its config is not among the expected ones (ablations.csv)'
        if reason is None:
            used.append(run)
        else:
            not_used.append([run.label, reason])
    return used, sorted(not_used)


def build(runs: Sequence[Run], table2_runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the page.

    Args:
        runs: Unique runs of configs in ``configs/ablations``.
        table2_runs: Unique runs of configs in ``configs/table2``; those of row 10 are the reference.

    Returns:
        ``configs`` (see `expected`), ``sections`` (`Start.key` of the initial weights -> ``reference`` (summary of row 10, None
        without runs), ``runs`` (config stem -> summary and ``difference`` to the reference by score), ``weights``),
        ``by_length`` (see `_by_length`), ``devices``, ``precisions``, ``not_used``.

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    used, not_used = select(runs)
    row10 = [run for row, run in table2.select(table2_runs)[0] if row == REFERENCE_ROW]
    check_comparable(row10 + used)
    sections = {}
    whole = (run.start for run in row10 if run.source_iterations == FULL)  # their section stands, pending or not
    for start in in_order([*whole, *(run.start for run in used)]):
        reference = [run for run in row10 if run.start == start]
        sections[start.key] = _section_of([run for run in used if run.start == start], reference)
    long = [run for run in used if run.config_stem == LONG]
    return {
        'configs': expected(),
        'sections': sections,
        'by_length': _by_length(row10, long),
        **conditions_of(row10 + used),
        'not_used': not_used,
    }


def _section_of(runs: Sequence[Run], reference: Sequence[Run]) -> dict[str, Any]:
    configs, found = expected(), {}
    check_one_start([*reference, *(run for run in runs if configs[run.config_stem]['head'] == REFERENCE_HEAD)])
    standard = summarise(reference) if reference else None
    for stem in configs:
        if cell := [run for run in runs if run.config_stem == stem]:
            summary = summarise(cell)
            gaps = {name: difference(summary, standard, name) if standard else None for name in _COMPARED}
            found[stem] = {**summary, 'difference': gaps}
    return {'reference': standard, 'runs': found, 'weights': weights_of([*reference, *runs])}


def _by_length(row10: Sequence[Run], long: Sequence[Run]) -> list[dict[str, Any]]:
    """Return one mapping for each kind of initial weights, the shorter source training first.

    Each has ``start`` (`Start.key`), ``iterations`` (of the source training), ``weights``, ``short`` and ``long`` (summaries of
    row 10 at 400 and at 4 000 iterations, None without runs). Scratch and the full length are there without runs too.
    """
    starts = {run.start for run in (*row10, *long) if run.source_iterations is not None} | {SCRATCH}
    if not any(start.iterations == FULL for start in starts):
        starts.add(PENDING_START)
    lines = []
    for start in sorted(starts, key=lambda start: (start.iterations, start.source)):
        cells = [[run for run in runs if run.start == start] for runs in (row10, long)]
        short, longer = (summarise(cell) if cell else None for cell in cells)
        weights = weights_of(run for cell in cells for run in cell)
        line = {'start': start.key, 'iterations': start.iterations, 'weights': weights, 'short': short, 'long': longer}
        lines.append(line)
    return lines


def _section(content: Mapping[str, Any], key: str) -> str:
    section = content['sections'][key]
    header = ['config', 'what', *SCORES.values(), 'seeds', *(f'{SCORES[name]}, minus row 10' for name in _COMPARED)]
    lines = [[f'row {REFERENCE_ROW}', 'reference', *_cells(section['reference']), *['-'] * len(_COMPARED)]]
    for stem, config in content['configs'].items():
        found = section['runs'].get(stem)
        # From scratch only the longer training is asked for.
        if found or key != SCRATCH.key or stem == LONG:
            gaps = [_gap(found, section['reference'], name) for name in _COMPARED]
            lines.append([f'`{stem}`', config['title'], *_cells(found), *gaps])
    weights = md.weights_line(section['weights'])
    return f'## {Start.of(key).title}\n\n{weights}{md.table(header, lines)}\n'


def _gap(found: Mapping[str, Any] | None, reference: Mapping[str, Any] | None, name: str) -> str:
    gap = found and found['difference'][name]
    return points_interval(gap) + md.mark(found, reference) if gap else '-'


def _cells(summary: Mapping[str, Any] | None) -> list[str]:
    if summary is None:
        return [PENDING] * len(SCORES) + ['-']
    return [*(percent_spread(summary[name]) for name in SCORES), md.seeds(summary)]


def _length_table(lines: Sequence[Mapping[str, Any]]) -> str:
    header = ['source iterations', 'weights']
    header += [f'{SCORES[name]}, {after} iterations' for after in ('400', '4 000') for name in _COMPARED]
    rows = []
    for line in lines:
        start, cells = Start.of(line['start']), []
        for summary in (line['short'], line['long']):
            seeds = f' ({md.seeds(summary)})' if summary else ''
            cells += [percent_spread(summary[name]) + seeds if summary else PENDING for name in _COMPARED]
        files = ', '.join(f'`{item["name"]}`' for item in line['weights'])
        rows.append([thousands(line['iterations']), files or ('none' if start == SCRATCH else '-'), *cells])
    return md.table(header, rows)


def render(content: Mapping[str, Any], figures: Sequence[str] = ()) -> str:
    """Return ``ablations.md`` from the output of `build` and the names of the figures that there are."""
    text = f'# Beside the rows: ablations\n\n{md.WRITTEN_BY}\n\n'
    text += ''.join(_section(content, key) for key in content['sections'])
    text += '## Row 10 by length of source training\n\n' + _length_table(content['by_length']) + '\n'
    if FIGURE in figures:
        text += md.figure(
            FIGURE,
            'Fluid Dice of row 10 by the number of iterations its initial weights had been trained on vessels: a point a seed, '
            "the line through their means; 0 is training from scratch. Open marks: the zoo's weights. Dashed: the paper's.",
        )
    notes = [
        "Scores are percent, pooled over all pixels of the validation images of the paper's split; mean ± sample standard "
        'deviation over n seeds. A config is `configs/ablations/<config>.py`: row 10 of table 2 with one thing changed.',
        'Differences are in points, to row 10 from weights of the same origin and length; in brackets, with three seeds or '
        'more on both sides, the 95 % interval over seeds (see [what_holds_up.md](what_holds_up.md)).',
        f'"{PENDING}" means that no complete run is recorded.',
    ]
    text += '## How to read it\n\n' + md.bullets(notes + md.conditions_notes(content) + md.mixed_notes(text))
    return text + md.not_used_section(content['not_used'])
