"""Plots of the groups that the page shows: Dice of each patient, training loss, and predicted against true area."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from octfluid.records.runs import Run
from octfluid.reporting.figures import curve
from octfluid.reporting.page import svg
from octfluid.reporting.page.groups import LETTERS, Group, named, runs_of, seeds_name
from octfluid.reporting.page.markup import figure, paragraph, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LINE = 0.24
"""Inches a patient takes in a plot."""


def area_unit(group: Group) -> tuple[float, str]:
    """Return by what areas in pixels are multiplied, and the unit that they then have."""
    return (group['pixel_mm2'], 'mm²') if group['pixel_mm2'] else (1.0, 'px')


def _area_words(unit: str) -> str:
    return 'mm², nominal scale' if unit == 'mm²' else 'px of the scored image'


def subject_figures(chosen: Sequence[Group]) -> list[str]:
    """Return a dot plot for each group: the Dice of each patient's pooled pixels, and how much fluid the patient has."""
    return [_subject_figure(index, group) for index, group in enumerate(chosen) if group['per_subject']]


def _subject_figure(index: int, group: Group) -> str:
    subjects = group['per_subject']
    scores = ', '.join(f'{_patient(item)}: {_percent(item["mean"])}' for item in subjects)
    label = f'Group {LETTERS[index]}: fluid Dice in percent of each of {len(subjects)} patients; {scores}'
    content = svg.inline(f'subjects-{index}', label, lambda: _draw_subjects(index, group))
    caption = (
        f'{named(index, group)}. Fluid Dice in percent by patient, {text(seeds_name(group))}; true fluid in '
        f'{_area_words(area_unit(group)[1])}.'
    )
    if group['missing']:
        caption += ' Patients of folds that have not been run are missing.'
    return figure(content, caption)


def _patient(item: Mapping[str, Any]) -> str:
    return 'unknown' if item['subject'] is None else str(item['subject'])


def _percent(value: float | None) -> str:
    return 'undefined' if value is None else f'{100 * value:.0f}'


def _draw_subjects(index: int, group: Group) -> 'Figure':
    subjects = group['per_subject']
    scale, unit = area_unit(group)
    drawn = svg.new_figure(0.75 + _LINE * len(subjects))
    left, right = drawn.subplots(1, 2, sharey=True, width_ratios=[3, 1])
    for place, item in enumerate(subjects):
        values = [100 * value for value in item['dice'] if value is not None]
        left.scatter(
            values, [place] * len(values), s=24, marker=svg.MARKERS[index][0], facecolors=svg.series(index), alpha=0.75,
            edgecolors=svg.PAPER, linewidths=0.5, zorder=3, clip_on=False,
        )  # fmt: skip
        if item['mean'] is None:
            lacking = f'undefined for {len(item["dice"]) - len(values)} of {len(item["dice"])} seeds' if values else 'undefined'
            left.text(max([*values, 0]) + 3, place, lacking, va='center', fontsize=8)
        elif len(values) > 1:
            left.plot([100 * item['mean']] * 2, [place - 0.36, place + 0.36], color=svg.INK, linewidth=1.4, zorder=4)
    right.barh(range(len(subjects)), [item['true_px'] * scale for item in subjects], height=0.55, color=svg.INK, alpha=0.45)
    left.set_yticks(range(len(subjects)), [_patient(item) for item in subjects])
    left.set_ylim(len(subjects) - 0.5, -0.5)
    left.set_xlim(0, 100)
    left.set_xlabel('fluid Dice, %')
    left.set_ylabel('patient')
    right.set_xlabel(f'fluid, {unit}')
    right.set_xlim(left=0)
    right.locator_params(axis='x', nbins=2)
    right.tick_params(axis='y', length=0)
    return drawn


def curves_figure(chosen: Sequence[Group], runs: Sequence[Run]) -> str:
    """Return the plot of the training loss by iteration, one line a run; a sentence if no run has a history.

    Args:
        chosen: The groups that plots show.
        runs: Those of all groups, and others.
    """
    lines = [(index, curve(run)) for index, group in enumerate(chosen) for run in runs_of(group, runs) if run.record['history']]
    lines = [(index, points) for index, points in lines if np.nanmax(points[1], initial=0) > 0]
    if not lines:
        return paragraph('No run of these groups has a training history.')
    label = f'Training loss by iteration of {len(lines)} runs, logarithmic scale'
    content = svg.inline('curves', label, lambda: _draw_curves(lines))
    names = '; '.join(named(index, chosen[index]) for index in sorted({index for index, _ in lines}))
    caption = (
        f'Training loss (no unit, logarithmic scale), mean of the last ten iterations. Thin: {len(lines)} runs; thick, with '
        f'markers: median of the runs of a group. {names}. Losses of different kinds are not comparable in height.'
    )
    return figure(content, caption)


def _draw_curves(lines: Sequence[tuple[int, tuple[np.ndarray, np.ndarray]]]) -> 'Figure':
    from matplotlib.ticker import FuncFormatter, NullFormatter

    drawn = svg.new_figure(2.9)
    axes = svg.add_axes(drawn, 'iteration', 'training loss')
    handles: dict[int, Any] = {}
    for index in sorted({index for index, _ in lines}):
        curves = [points for number, points in lines if number == index]
        by_iteration: dict[float, list[float]] = {}
        for iterations, losses in curves:
            axes.plot(iterations, losses, color=svg.series(index), linewidth=0.7, alpha=0.4)
            for iteration, loss in zip(iterations, losses, strict=True):
                by_iteration.setdefault(iteration, []).append(loss)
        places = sorted(by_iteration)
        middle = [np.nan if np.isnan(by_iteration[place]).any() else np.median(by_iteration[place]) for place in places]
        step = max(1, len(places) // 6)
        (handles[index],) = axes.plot(
            places, middle, color=svg.series(index), linewidth=1.6, marker=svg.MARKERS[index][0], markersize=5,
            markeredgecolor=svg.PAPER, markeredgewidth=0.5, markevery=(index * step // svg.SERIES, step),
        )  # fmt: skip
    axes.set_yscale('log')
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    low, high = axes.get_ylim()
    minor = FuncFormatter(lambda value, _: f'{value:g}' if f'{value:e}'[0] in '25' else '')
    axes.yaxis.set_minor_formatter(minor if high < 100 * low else NullFormatter())
    axes.set_xlim(left=0)
    drawn.legend(handles.values(), [LETTERS[index] for index in handles], loc='outside upper center', ncols=len(handles))
    return drawn


def agreement_figures(chosen: Sequence[Group]) -> list[str]:
    """Return a plot after Bland and Altman for each group that has all its folds."""
    return [_agreement_figure(index, group) for index, group in enumerate(chosen) if group['bland_altman']]


def _agreement_figure(index: int, group: Group) -> str:
    found = group['bland_altman']
    scale, unit = area_unit(group)
    digits = 3 if unit == 'mm²' else 0
    bias, low, high = (
        '-' if found[name] is None else f'{round(found[name] * scale, digits) + 0.0:+.{digits}f}'
        for name in ('bias', 'low', 'high')
    )
    said = f'bias {bias}, limits of agreement {low} to {high} {unit}'
    label = f'Group {LETTERS[index]}: predicted minus true fluid area of {len(found["true"])} scans against their mean; {said}'
    content = svg.inline(f'agreement-{index}', label, lambda: _draw_agreement(index, group))
    caption = (
        f'{named(index, group)}, {text(seeds_name(group))}; {_area_words(unit)}. Solid line: bias, {bias} {unit}. Dashed: '
        f'95 % limits of agreement, {low} to {high} {unit}.'
    )
    return figure(content, caption)


def _draw_agreement(index: int, group: Group) -> 'Figure':
    found = group['bland_altman']
    scale, unit = area_unit(group)
    true, predicted = (scale * np.asarray(found[name], float) for name in ('true', 'predicted'))
    drawn = svg.new_figure(2.7)
    axes = svg.add_axes(drawn, f'mean of true and predicted area, {unit}', f'predicted minus true, {unit}')
    axes.axhline(0, color=svg.GRID, linewidth=1.6)
    axes.scatter(
        (true + predicted) / 2, predicted - true, s=26, marker=svg.MARKERS[index][0], facecolors=svg.series(index), alpha=0.75,
        edgecolors=svg.PAPER, linewidths=0.5, zorder=3,
    )  # fmt: skip
    for name, line in (('bias', 'solid'), ('low', 'dashed'), ('high', 'dashed')):
        if found[name] is not None:
            axes.axhline(found[name] * scale, color=svg.INK, linewidth=1.1, linestyle=line, zorder=2)
    return drawn
