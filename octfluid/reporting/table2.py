"""The paper's table 2 with our runs beside it."""

import re
from collections.abc import Sequence
from typing import Any

from octfluid.records.runs import (
    Run,
    background_everywhere,
    check_comparable,
    check_one_start,
    conditions_of,
    summarise,
    weights_of,
    why_not,
)
from octfluid.records.starts import FULL, SCRATCH, Start, in_order
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING, SCORES, percent, percent_spread
from octfluid.reporting.published import fraction, read_published

_PAPER_COLUMNS = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'Dice_fluid', 'IoU': 'IoU_fluid'}
FIGURE = 'loss_table2.png'
# The one row that is asked for from random weights too.
SCRATCH_ROW = 10


def paper_rows() -> list[dict[str, Any]]:
    """Return the eleven rows as published.

    Returns:
        Mappings with ``row`` and ``iterations`` (int), ``setting`` (one line of text), and ``paper``: mIoU, mDice, and the
        fluid's Dice and IoU as fractions, None where the authors left none. The sources are named in the data file.
    """
    return [_paper_row(line) for line in read_published('paper_table2.csv')]


def _paper_row(line: dict[str, str]) -> dict[str, Any]:
    setting = [f'{line["iterations"]} iterations', f'crop {line["crop"]}' if line['crop'] else 'no crop']
    setting += [f'{line["flip"]} flip'] if line['flip'] != 'no' else []
    setting += [line['loss'], line['optimizer'], f'weight decay {line["weight_decay"]}']
    scores = {name: fraction(line[column]) for name, column in _PAPER_COLUMNS.items()}
    return {'row': int(line['row']), 'iterations': int(line['iterations']), 'setting': ', '.join(setting), 'paper': scores}


def row_number(config_stem: str) -> int | None:
    """Return the row that a config of ``configs/table2/`` is, from its two-digit prefix; None if it has none."""
    match = re.match(r'(\d\d)_', config_stem)
    return int(match[1]) if match else None


def select(runs: Sequence[Run]) -> tuple[list[tuple[int, Run]], list[list[str]]]:
    """Choose the runs that count.

    Args:
        runs: Unique runs of configs in ``configs/table2``.

    Returns:
        (row number and run, label and reason of every other run).
    """
    iterations = {row['row']: row['iterations'] for row in paper_rows()}
    used, not_used = [], []
    for run in runs:
        row = row_number(run.config_stem)
        reason = why_not(run, iterations[row]) if row in iterations else 'its config is none of the eleven rows'
        if reason is None:
            used.append((row, run))
        else:
            not_used.append([run.label, reason])
    return used, sorted(not_used)


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Args:
        runs: Unique runs of configs in ``configs/table2``.

    Returns:
        ``rows`` (as published), ``sections`` (`Start.key` of the initial weights -> row -> summary of our runs, an empty
        mapping where nothing has run), ``weights`` (the same keys -> files), ``reference`` (scores of calling every pixel
        background, None without runs), ``images`` (scored images, or None), ``devices``, ``precisions`` (name -> number of
        runs), and ``not_used`` (label and reason).

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    numbered, not_used = select(runs)
    used = [run for _, run in numbered]
    check_comparable(used)
    sections, weights = {}, {}
    for start in in_order(run.start for run in used):
        members = [(row, run) for row, run in numbered if run.start == start]
        rows = sorted({row for row, _ in members})
        sections[start.key] = {str(row): summarise([run for number, run in members if number == row]) for row in rows}
        check_one_start([run for _, run in members])
        weights[start.key] = weights_of(run for _, run in members)
    return {
        'rows': paper_rows(),
        'sections': sections,
        'weights': weights,
        'reference': background_everywhere(used[0]) if used else None,
        'images': len(used[0].record['images']) if used else None,
        **conditions_of(used),
        'not_used': not_used,
    }


def _section(content: dict[str, Any], key: str) -> str:
    header = ['row', 'setting', *(f'{title}, {whose}' for title in SCORES.values() for whose in ('paper', 'ours')), 'seeds']
    start, lines = Start.of(key), []
    # Weights that are not the paper's are not asked for all rows: those that have run are shown, the others counted.
    shown = [row for row in content['rows'] if start.iterations == FULL or str(row['row']) in content['sections'][key]]
    for row in shown:
        ours = content['sections'][key].get(str(row['row']))
        cells = [
            text for name in SCORES for text in (percent(row['paper'][name]), percent_spread(ours[name]) if ours else PENDING)
        ]
        lines.append([str(row['row']), row['setting'], *cells, md.seeds(ours) if ours else '-'])
    if content['reference']:
        cells = [text for name in SCORES for text in ('-', percent(content['reference'][name]))]
        lines.append(['-', 'background everywhere', *cells, '-'])
    rest = len(content['rows']) - len(shown)
    left_out = f'Pending: {rest} further {"row" if rest == 1 else "rows"}.\n\n' if rest and start != SCRATCH else ''
    return f'## {start.title}\n\n{md.weights_line(content["weights"][key])}{md.table(header, lines)}\n{left_out}'


def _notes(content: dict[str, Any]) -> str:
    counted = f'the {content["images"]} validation images' if content['images'] else 'the validation images'
    notes = [
        f"Scores are percent, pooled over all pixels of {counted} of the paper's random image split, so that an image without "
        'fluid has no score of its own: it adds its false positives and true negatives. The means are over background and '
        'fluid.',
        'Ours: mean ± sample standard deviation over n seeds (no SD for n = 1) of the last weights; no run was picked by its '
        f'score. "{PENDING}" means that no complete run is recorded.',
        "The paper: one run a row, from the model zoo's weights. Its fluid scores come from the logs in the authors' "
        'notebooks; row 11 has none.',
        'Runs from weights of different origin or length of training stand in sections of their own and are never averaged.',
    ]
    if content['reference']:
        notes.append(
            '"background everywhere" is what calling no pixel fluid would score on these images, computed from the '
            'counts in the records.'
        )
    return md.bullets(notes + md.conditions_notes(content))


def render(content: dict[str, Any], figures: Sequence[str] = ()) -> str:
    """Return ``table2.md`` from the output of `build` and the names of the figures that there are."""
    text = f'# Table 2: fine-tuning on Duke DME\n\n{md.WRITTEN_BY}\n\n'
    text += (tables := ''.join(_section(content, key) for key in content['sections']))
    if FIGURE in figures:
        text += '## Loss\n\n' + md.figure(
            FIGURE,
            'Training loss of each row, every ten iterations the mean of the last ten: one line a seed. Losses of different '
            'kinds have different scales.',
        )
    text += '## How to read it\n\n' + _notes(content) + md.bullets(md.mixed_notes(tables))
    return text + md.not_used_section(content['not_used'])


def render_short(content: dict[str, Any]) -> str:
    """Return the table for the README: mIoU / mDice of the paper and of each kind of initial weights."""
    lines = []
    for row in content['rows']:
        cells = [f'{percent(row["paper"]["mIoU"])} / {percent(row["paper"]["mDice"])}']
        for key, section in content['sections'].items():
            ours = section.get(str(row['row']))
            scores = ours and f'{percent_spread(ours["mIoU"])} / {percent_spread(ours["mDice"])} ({md.seeds(ours)})'
            cells.append(scores or ('-' if key == SCRATCH.key and row['row'] != SCRATCH_ROW else PENDING))
        lines.append([str(row['row']), row['setting'], *cells])
    if content['reference']:
        reference = f'{percent(content["reference"]["mIoU"])} / {percent(content["reference"]["mDice"])}'
        lines.append(['-', 'background everywhere', reference, *['-'] * len(content['sections'])])
    starts = [f'ours, {Start.of(key).short}' for key in content['sections']]
    return md.table(['row', 'setting', 'paper', *starts], lines)
