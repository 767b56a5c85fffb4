"""The paper's table 2 and our runs of its rows."""

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.confusion import rounded
from octfluid.metrics.threshold_free import threshold_free
from octfluid.records.provenance import FULL, SCRATCH, Start, thousands
from octfluid.records.runs import (
    Run,
    background_everywhere,
    check_comparable,
    check_one_start,
    conditions_of,
    summarise,
    weights_of,
)
from octfluid.reporting.formats import NOT_RUN, SCORES, conditions, percent, points, seeds, spread
from octfluid.reporting.pages import Page, config_link, notes, records_link
from octfluid.reporting.published import by_start, fraction, grouped, read_published, select_trainings

_PAPER_COLUMNS = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'Dice_fluid', 'IoU': 'IoU_fluid'}
THRESHOLD_FREE = {'average_precision': 'average precision', 'best_dice': 'fluid Dice, best threshold'}
FIGURE = 'loss_table2.png'


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
    unknown = 'its config is not one of the eleven rows'
    return select_trainings(runs, lambda run: iterations.get(row_number(run.config_stem)), unknown)


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Returns:
        ``rows`` (as published), ``sections`` (`Start.key` of the initial weights -> row -> summary of our runs, with their
        ``records`` and, if every image has a histogram of logits, `THRESHOLD_FREE` scores), ``weights`` (the same
        keys -> files), ``reference`` (scores of calling every pixel background, None without runs), ``images`` (number of
        scored images, or None), ``devices``, ``precisions`` (name -> number of runs), and ``not_used`` (label and reason).

    Raises:
        InputError: Runs that would be averaged or compared differ in config, initial weights or scored files.
    """
    used, not_used = select(runs)
    check_comparable(used)
    sections, weights = {}, {}
    for start, members in by_start(used).items():
        check_one_start(members)
        rows = grouped(members, lambda run: row_number(run.config_stem))
        sections[start.key] = {str(row): _summary(mine) for row, mine in rows.items()}
        weights[start.key] = weights_of(members)
    return {
        'rows': paper_rows(),
        'sections': sections,
        'weights': weights,
        'reference': background_everywhere(used[0]) if used else None,
        'images': len(used[0].record['images']) if used else None,
        **conditions_of(used),
        'not_used': not_used,
    }


def _summary(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the summary over seeds, with the `THRESHOLD_FREE` scores if every image has a histogram of logits."""
    summary = {**summarise(runs), 'records': sorted(run.label for run in runs)}
    found = [[image['extra'].get('logit_histogram') for image in run.record['images']] for run in runs]
    if all(histogram for histograms in found for histogram in histograms):
        scores = [threshold_free(histograms) for histograms in found]
        for name in THRESHOLD_FREE:
            values = [score[name] for score in scores]
            defined = None not in values
            summary[name] = {
                'mean': rounded(statistics.fmean(values)) if defined else None,
                'sd': rounded(statistics.stdev(values)) if defined and len(values) > 1 else None,
            }
    return summary


def best_section(content: Mapping[str, Any]) -> str | None:
    """Return the key of the vessel weights with the longest source training that have runs, None if only scratch has any."""
    return next((key for key in content['sections'] if key != SCRATCH.key), None)


def _table(page: Page, content: Mapping[str, Any], section: Mapping[str, Any], names: Sequence[str], whole: bool) -> None:
    """Add a table of some scores; unless ``whole``, only the rows that were run."""
    more = [name for name in THRESHOLD_FREE if 'Dice' in names and any(name in ours for ours in section.values())]
    rows = []
    for row in content['rows']:
        ours = section.get(str(row['row']))
        if not ours and not whole:
            continue
        cells = []
        for name in names:
            published, mean = row['paper'][name], ours and ours[name]['mean']
            gap = None if published is None or mean is None else mean - published
            cells += [percent(published), spread(ours[name]) if ours else NOT_RUN, points(gap)]
        cells += [spread(ours[name]) if ours and name in ours else '-' for name in more]
        link = records_link(ours['records'], f'n = {seeds(ours)}') if ours else '-'
        rows.append([config_link(row['config'], str(row['row'])), row['setting'], *cells, link])
    if content['reference']:
        cells = [cell for name in names for cell in ('-', percent(content['reference'][name]), '-')]
        rows.append(['-', 'background everywhere', *cells, *['-'] * len(more), '-'])
    columns = [f'{SCORES[name]}, {what}' for name in names for what in ('paper', 'ours', 'difference')]
    page.table(['row', 'setting', *columns, *(THRESHOLD_FREE[name] for name in more), 'seeds'], rows)


def page(content: Mapping[str, Any], figures: Sequence[str] = ()) -> Page:
    """Return ``table2.md`` from the output of `build` and the names of the figures that were drawn."""
    page = Page('table2.md', 'Table 2: fine-tuning on Duke DME')
    best = best_section(content)
    if best is None or Start.of(best).iterations != FULL:
        page.text(f"No row is run from vessel weights of {thousands(FULL)} iterations, the paper's source training.")
    sections = content['sections'] if best else {None: {}, **content['sections']}
    for key, section in sections.items():
        page.heading(Start.of(key).title if key else 'From HRF vessel weights')
        page.text(conditions(section.values(), content['weights'].get(key, ())))
        for names in (('mIoU', 'mDice'), ('Dice', 'IoU')):
            _table(page, content, section, names, whole=key == best)
    page.figure(FIGURE, figures)
    counted = f'the {content["images"]} validation images' if content['images'] else 'the validation images'
    page.how_to_read(notes('table2', counted=counted))
    page.not_used(content['not_used'])
    return page
