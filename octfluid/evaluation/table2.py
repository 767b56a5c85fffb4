"""The paper's table 2 with our runs beside it."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from octfluid.evaluation.counts import pooled_metrics, predict_nothing
from octfluid.evaluation.runs import (
    DECIMALS,
    Run,
    check_comparable,
    markdown_list,
    markdown_table,
    percent,
    percent_spread,
    summarise,
)

SPLIT = 'paper'
PENDING = 'pending'
TITLES = {
    'hrf': 'From HRF vessel weights',
    'hrf-own': 'From HRF vessel weights trained here (`hrf-own`)',
    'hrf-zoo': "From the model zoo's HRF vessel weights, as in the paper (`hrf-zoo`)",
    'scratch': 'From scratch (`--init none`)',
}
SCORES = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'fluid Dice', 'IoU': 'fluid IoU'}
_PAPER_FILE = Path(__file__).with_name('paper_table2.csv')
_PAPER_COLUMNS = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'Dice_fluid', 'IoU': 'IoU_fluid'}


def paper_rows() -> list[dict[str, Any]]:
    """Return the eleven rows as published.

    Returns:
        Mappings with ``row`` and ``iterations`` (int), ``setting`` (one line of text), and ``paper``: mIoU, mDice, and the
        fluid's Dice and IoU as fractions, None where the authors left none. The sources are named in the data file.
    """
    with open(_PAPER_FILE, encoding='utf-8', newline='') as file:
        lines = csv.DictReader(line for line in file if not line.startswith('#'))
        return [_paper_row(line) for line in lines]


def _paper_row(line: dict[str, str]) -> dict[str, Any]:
    setting = [f'{line["iterations"]} iterations', f'crop {line["crop"]}' if line['crop'] else 'no crop']
    setting += [f'{line["flip"]} flip'] if line['flip'] != 'no' else []
    setting += [line['loss'], line['optimizer'], f'weight decay {line["weight_decay"]}']
    scores = {
        name: round(float(line[column]) / 100, DECIMALS) if line[column] else None for name, column in _PAPER_COLUMNS.items()
    }
    return {'row': int(line['row']), 'iterations': int(line['iterations']), 'setting': ', '.join(setting), 'paper': scores}


def row_number(config_stem: str) -> int | None:
    """Return the row that a config of ``configs/table2/`` is, from its two-digit prefix; None if it has none."""
    match = re.match(r'(\d\d)_', config_stem)
    return int(match[1]) if match else None


def why_not(run: Run, full_iterations: dict[int, int]) -> str | None:
    """Return why a run of a table-2 config does not count in the table, or None if it does.

    Args:
        run: A run whose config lies in ``configs/table2``.
        full_iterations: Iterations of each row.
    """
    record, row = run.record, row_number(run.config_stem)
    if row not in full_iterations:
        return 'its config is none of the eleven rows'
    if record['kind'] != 'train':
        return 'a test; the table takes training runs'
    if record['split'] != SPLIT:
        return f'split {record["split"]}; the table takes the split {SPLIT}'
    if record['variant']:
        return f'variant {record["variant"]}'
    if record['iterations'] != full_iterations[row]:
        return f'{record["iterations"]} of {full_iterations[row]} iterations'
    if run.changed:
        return 'overrides ' + ', '.join(run.changed)
    if run.source not in TITLES:
        return f'initial weights of another origin ({record["init"]["name"]})'
    return None


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Args:
        runs: Unique runs of configs in ``configs/table2``.

    Returns:
        ``rows`` (as published), ``sections`` (initial weights -> row -> summary of our runs, an empty mapping where nothing has
        run), ``reference`` (scores of calling every pixel background, None without runs), ``images`` (scored images, or
        None), ``devices``, ``precisions`` (name -> number of runs), and ``not_used`` (label and reason).

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    rows = paper_rows()
    iterations = {row['row']: row['iterations'] for row in rows}
    reasons = {run.label: reason for run in runs if (reason := why_not(run, iterations))}
    used = [run for run in runs if why_not(run, iterations) is None]
    check_comparable(used)
    sources = [source for source in TITLES if any(run.source == source for run in used)]
    if not {'hrf-own', 'hrf-zoo'} & set(sources):
        sources.insert(0, 'hrf')
    sections = {source: {} for source in sources}
    for source, section in sections.items():
        for row in iterations:
            if cell := [run for run in used if run.source == source and row_number(run.config_stem) == row]:
                section[str(row)] = summarise(cell)
    return {
        'rows': rows,
        'sections': sections,
        'reference': _reference(used[0]) if used else None,
        'images': len(used[0].record['images']) if used else None,
        'devices': dict(sorted(Counter(run.record['device'] for run in used).items())),
        'precisions': dict(sorted(Counter(run.record['precision'] for run in used).items())),
        'not_used': [list(pair) for pair in sorted(reasons.items())],
    }


def _reference(run: Run) -> dict[str, float | None]:
    metrics = pooled_metrics(predict_nothing(run.record['images']))
    scores = {'mIoU': metrics['mIoU'], 'mDice': metrics['mDice'], 'Dice': metrics['Dice.fluid'], 'IoU': metrics['IoU.fluid']}
    return {name: None if value is None else round(value, DECIMALS) for name, value in scores.items()}


def _section(table: dict[str, Any], source: str) -> str:
    header = ['row', 'setting', *(f'{title}, {whose}' for title in SCORES.values() for whose in ('paper', 'ours')), 'seeds']
    lines = []
    for row in table['rows']:
        ours = table['sections'][source].get(str(row['row']))
        cells = [
            text for name in SCORES for text in (percent(row['paper'][name]), percent_spread(ours[name]) if ours else PENDING)
        ]
        lines.append([str(row['row']), row['setting'], *cells, f'n = {ours["n"]}' if ours else '-'])
    if table['reference']:
        cells = [text for name in SCORES for text in ('-', percent(table['reference'][name]))]
        lines.append(['-', 'background everywhere', *cells, '-'])
    return f'## {TITLES[source]}\n\n{markdown_table(header, lines)}\n'


def _notes(table: dict[str, Any]) -> str:
    counted = f'the {table["images"]} validation images' if table['images'] else 'the validation images'
    notes = [
        f"Scores are percent, pooled over all pixels of {counted} of the paper's random image split, so that an image without "
        'fluid has no score of its own: it adds its false positives and true negatives. The means are over background and '
        'fluid.',
        'Ours: mean ± sample standard deviation over n seeds (no SD for n = 1) of the last weights; no run was picked by its '
        f'score. "{PENDING}" means that no complete run is recorded.',
        "The paper: one run a row. Its fluid scores come from the logs in the authors' notebooks; row 11 has none.",
    ]
    if table['reference']:
        notes.append(
            '"background everywhere" is what calling no pixel fluid would score on these images, computed from the '
            'counts in the records.'
        )
        notes += [
            f'{title} of the runs: ' + ', '.join(f'{name} ({number})' for name, number in table[key].items()) + '.'
            for key, title in (('devices', 'Devices'), ('precisions', 'Precisions'))
        ]
        notes.append('Device, precision, versions and commit of each run are in its record.')
    return ''.join(f'- {note}\n' for note in notes)


def render(table: dict[str, Any]) -> str:
    """Return ``table2.md`` from the output of `build`."""
    text = '# Table 2: fine-tuning on Duke DME\n\n<!-- written by tools/report.py from the run records; do not edit -->\n\n'
    text += ''.join(_section(table, source) for source in table['sections'])
    text += '## How to read it\n\n' + _notes(table)
    if table['not_used']:
        text += '\n## Not used\n\n' + markdown_list(map(tuple, table['not_used']))
    return text


def render_short(table: dict[str, Any]) -> str:
    """Return the table for the README: mIoU / mDice of the paper and of each kind of initial weights."""
    short = {
        'hrf': 'ours, from HRF',
        'hrf-own': 'ours, from HRF (own)',
        'hrf-zoo': 'ours, from HRF (zoo)',
        'scratch': 'ours, from scratch',
    }
    lines = []
    for row in table['rows']:
        cells = [f'{percent(row["paper"]["mIoU"])} / {percent(row["paper"]["mDice"])}']
        for section in table['sections'].values():
            ours = section.get(str(row['row']))
            scores = ours and f'{percent_spread(ours["mIoU"])} / {percent_spread(ours["mDice"])} (n = {ours["n"]})'
            cells.append(scores or PENDING)
        lines.append([str(row['row']), row['setting'], *cells])
    if table['reference']:
        reference = f'{percent(table["reference"]["mIoU"])} / {percent(table["reference"]["mDice"])}'
        lines.append(['-', 'background everywhere', reference, *['-'] * len(table['sections'])])
    return markdown_table(['row', 'setting', 'paper', *(short[source] for source in table['sections'])], lines)
