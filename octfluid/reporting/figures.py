"""Figures of the results pages: loss curves, row 10 by the length of its source training, patients, fluid areas.

Drawn with matplotlib's defaults and its own font, whatever the user's settings, without dates or versions in the files. Their
size in pixels is fixed; other versions of matplotlib or FreeType may shade edges of letters differently.
"""

import io
import statistics
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import PurePosixPath
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from octfluid.records.provenance import SCRATCH, Start
from octfluid.records.runs import Run, grouped
from octfluid.reporting import ablations, recipes, table1, table2
from octfluid.reporting.folds import is_inner
from octfluid.reporting.formats import start_label, thousands

NAMES = ('loss_table2.png', 'validation_table2.png', 'loss_hrf.png', 'row10_by_source_length.png', 'patients.png', 'areas.png')
OKABE_ITO = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9', '#000000')
"""Colours that colour-blind readers can tell apart (Okabe and Ito, 2008); the palest is left out."""

_WIDTH, _DPI = 8.3, 100
_COLUMNS = 4


def draw(
    table2_runs: Sequence[Run],
    hrf_runs: Sequence[Run],
    by_length: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]] = (),
) -> dict[str, bytes]:
    """Draw the figures that there are runs for.

    Args:
        table2_runs: Unique runs of configs in ``configs/table2``, those on inner splits included.
        hrf_runs: Unique runs of configs in ``configs/hrf``.
        by_length: ``by_length`` of `octfluid.reporting.ablations.build`.
        groups: Output of `octfluid.reporting.estimates.build`.

    Returns:
        File name (of `NAMES`) -> PNG.
    """
    rows = [run for run in table2.select(table2_runs)[0] if run.record['history']]
    trainings = [run for run in table1.select_hrf(hrf_runs)[0] if run.record['history']]
    lengths = [line for line in by_length if line['short'] or line['long']]
    chosen = recipes.plotted(groups)
    areas = [group for group in chosen if group['pixel_mm2']]
    several = len({line['iterations'] for line in lengths}) > 1
    inner = [run for run in table2_runs if is_inner(run) and table2.row_number(run.config_stem) and not run.changed]
    watched = [run for run in inner if len(_validations(run)[0]) > 1]
    kinds = ((_loss_of_rows, rows), (_validations_of_rows, watched), (_loss_on_vessels, trainings),
             (_by_length, lengths if several else ()), (_patients, chosen), (_areas, areas))  # fmt: skip
    return {name: _png(partial(drawing, shown)) for name, (drawing, shown) in zip(NAMES, kinds, strict=True) if shown}


def _png(drawing: partial[Figure]) -> bytes:
    buffer = io.BytesIO()
    style = {'font.size': 9, 'axes.spines.top': False, 'axes.spines.right': False, 'axes.grid': True, 'grid.alpha': 0.3}
    with matplotlib.style.context(['default', style], after_reset=True):
        drawing().savefig(buffer, format='png', dpi=_DPI, metadata={'Software': None})
    return buffer.getvalue()


def _figure(height: float) -> Figure:
    return Figure(figsize=(_WIDTH, height), layout='constrained')


def curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return iterations (n,) and losses (n,) of a run's history as float64; a loss that was not finite is NaN, a gap."""
    points = run.record['history']
    losses = [np.nan if point['loss'] is None else point['loss'] for point in points]
    return np.array([point['iteration'] for point in points], float), np.array(losses, float)


def running_median(values: np.ndarray, over: int = 25) -> np.ndarray:
    """Return the median of each of (n,) values and its neighbours, ``over`` (odd) in all, fewer at the ends.

    NaN are left out; a median is NaN where every value of the neighbourhood is.
    """
    padded = np.pad(values, over // 2, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # of neighbourhoods without a value
        return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, over), axis=1)


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=9)
    axes.set_xlabel('iteration')
    axes.set_ylabel('training loss')
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: f'{value:g}' if f'{value:e}'[0] in '25' else ''))
    axes.set_xlim(left=0)


def _loss_of_rows(runs: Sequence[Run]) -> Figure:
    rows, starts = grouped(runs, lambda run: table2.row_number(run.config_stem)), sorted({run.start for run in runs})
    # Each kind of initial weights has its colour; training from scratch is always the last, black.
    colours = {start: OKABE_ITO[index % (len(OKABE_ITO) - 1)] for index, start in enumerate(starts)} | {SCRATCH: OKABE_ITO[-1]}
    settings = {row['row']: row['setting'] for row in table2.paper_rows()}
    columns = min(_COLUMNS, len(rows))
    lines = -(-len(rows) // columns)
    figure = _figure(0.6 + 2.2 * lines if lines > 1 else 3.2)
    shown = {}
    for place, (row, members) in enumerate(rows.items(), 1):
        axes = figure.add_subplot(lines, columns, place)
        for run in members:
            (shown[run.start],) = axes.plot(*curve(run), color=colours[run.start], linewidth=0.9, alpha=0.8)
        # The axis shows the iterations; the rest of a setting is long and takes two lines.
        words = settings[row].split(', ')[1:]
        _finish(axes, f'row {row}: ' + ', '.join(words[:-2]) + ',\n' + ', '.join(words[-2:]))
    labels = [start_label(start.key) for start in starts]
    figure.legend([shown[start] for start in starts], labels, loc='outside lower center', ncols=3)
    return figure


def _validations(run: Run) -> tuple[list[int], list[float]]:
    points = [point for point in run.record['history'] if point.get('mIoU') is not None]
    return [point['iteration'] for point in points], [100 * point['mIoU'] for point in points]


def _validations_of_rows(runs: Sequence[Run]) -> Figure:
    figure = _figure(3.6)
    axes = figure.add_subplot()
    lines = grouped(runs, lambda run: (table2.row_number(run.config_stem), start_label(run.start.key)))
    for ((row, start), members), colour in zip(lines.items(), cycle(OKABE_ITO)):
        for run in members:
            label = f'row {row}, {start}' if run is members[0] else None
            axes.plot(*_validations(run), color=colour, linewidth=1.2, marker='.', label=label)
    axes.set_xlabel('iteration')
    axes.set_ylabel('mIoU, %')
    axes.set_xlim(left=0)
    axes.legend()
    return figure


def _loss_on_vessels(runs: Sequence[Run]) -> Figure:
    figure = _figure(3.6)
    axes = figure.add_subplot()
    for (head, zoo), colour in zip(table1.zoo_heads().items(), OKABE_ITO, strict=False):
        for number, run in enumerate(run for run in runs if run.config_stem == head):
            iterations, losses = curve(run)
            axes.plot(iterations, losses, color=colour, linewidth=0.5, alpha=0.25)
            label = zoo['title'] if number == 0 else None
            axes.plot(iterations, running_median(losses), color=colour, linewidth=1.5, label=label)
    _finish(axes, 'HRF vessels')
    axes.legend()
    return figure


def _by_length(lines: Sequence[Mapping[str, Any]]) -> Figure:
    lengths = sorted({line['iterations'] for line in lines})
    figure = _figure(3.6)
    axes = figure.add_subplot()
    for name, title, colour, marker in (
        ('short', '400 iterations of fine-tuning', OKABE_ITO[0], 'o'),
        ('long', '4 000 iterations of fine-tuning', OKABE_ITO[3], 's'),
    ):
        means = {}
        for line in lines:
            values = [100 * value for value in (line[name] or {'Dice': {'values': []}})['Dice']['values'] if value is not None]
            place, zoo = lengths.index(line['iterations']), Start.of(line['start']).source == 'hrf-zoo'
            face, beside = ('none', 0.05) if zoo else (colour, 0.0)
            where = [place + beside] * len(values)
            axes.scatter(where, values, s=26, marker=marker, facecolors=face, edgecolors=colour, zorder=3)
            if values and not zoo:
                means[place] = statistics.fmean(values)
        if means:
            axes.plot(list(means), list(means.values()), color=colour, linewidth=1.2, label=title)
    paper_dice = next(row['paper']['Dice'] for row in table2.paper_rows() if row['row'] == ablations.REFERENCE_ROW)
    axes.axhline(100 * paper_dice, color='black', linewidth=1, linestyle='--', label="the paper's row 10")
    axes.set_xticks(range(len(lengths)), ['0 (scratch)' if not length else thousands(length) for length in lengths])
    axes.set_xlim(-0.4, len(lengths) - 0.6)
    axes.set_xlabel('iterations of source training on HRF vessels (steps not to scale)')
    axes.set_ylabel('fluid Dice, %')
    axes.set_ylim(-3, 100)
    axes.legend(loc='best')
    return figure


def _panels(groups: Sequence[Mapping[str, Any]], ylabel: str) -> tuple[Figure, list[tuple[Axes, Mapping[str, Any]]]]:
    figure = _figure(2.8)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    panels[0].set_ylabel(ylabel)
    for axes, group in zip(panels, groups, strict=True):
        axes.set_title(f'{PurePosixPath(group["config"]).stem},\n{group["protocol"]}', fontsize=8)
    return figure, list(zip(panels, groups, strict=True))


def _patients(groups: Sequence[Mapping[str, Any]]) -> Figure:
    figure, panels = _panels(groups, 'fluid Dice, %')
    for axes, group in panels:
        for place, item in enumerate(group['per_subject']):
            values = [100 * value for value in item['dice'] if value is not None]
            axes.scatter([place] * len(values), values, s=22, color=OKABE_ITO[0], alpha=0.75, zorder=3)
        names = ['?' if item['subject'] is None else str(item['subject']) for item in group['per_subject']]
        axes.set_xticks(range(len(names)), names)
        axes.set_xlabel('patient')
        axes.set_ylim(-3, 100)
    return figure


def _areas(groups: Sequence[Mapping[str, Any]]) -> Figure:
    figure, panels = _panels(groups, 'predicted minus true, mm²')
    for axes, group in panels:
        found, scale = group['bland_altman'], group['pixel_mm2']
        true, predicted = (scale * np.asarray(found[name], float) for name in ('true', 'predicted'))
        axes.scatter((true + predicted) / 2, predicted - true, s=18, color=OKABE_ITO[0], alpha=0.75, zorder=3)
        for name, line in (('bias', 'solid'), ('low', 'dashed'), ('high', 'dashed')):
            if found[name] is not None:
                axes.axhline(scale * found[name], color='black', linewidth=1, linestyle=line, zorder=2)
        axes.set_xlabel('mean area, mm²')
    return figure
