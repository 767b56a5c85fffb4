"""Paired differences between configurations: a forest plot a family, and the table behind it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from octfluid.metrics.measures import MEASURES
from octfluid.reporting.difference import points, points_interval
from octfluid.reporting.estimates_page import p_value
from octfluid.reporting.page import svg
from octfluid.reporting.page.markup import figure, fold, grid, paragraph, table, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Comparison = Mapping[str, Any]
_CHARACTERS, _LINES = 44, 3
_LINE = 0.155
"""Inches that a line of text takes."""


def render(comparisons: Sequence[Comparison]) -> str:
    """Return the plots and the tables of all comparisons, family by family."""
    if not comparisons:
        return paragraph('No two configurations have been scored on the same images.')
    families: dict[str, list[Comparison]] = {}
    for item in comparisons:
        families.setdefault(item['family'], []).append(item)
    plots = [_family_figure(number, family, items) for number, (family, items) in enumerate(families.items())]
    tables = ''.join(_family_table(family, items) for family, items in families.items())
    about = (
        'A mark is a difference on the same images, the line its 95 % interval over patients and seeds, where there are enough '
        'patients. p: the two sides exchanged patient by patient; Holm: corrected over the comparisons of the plot.'
    )
    return paragraph(about) + grid(plots) + fold('The numbers behind these plots', tables)


def _tests(item: Comparison, between: str) -> str:
    """Return both p-values of a comparison in words."""
    if item['p'] is None:
        return 'no test'
    shown = {'p': p_value(item['p']), 'Holm p': p_value(item['p_holm'])}
    return between.join(f'{name} {value}' if value[0] in '<-' else f'{name} = {value}' for name, value in shown.items())


def _family_figure(number: int, family: str, items: Sequence[Comparison]) -> str:
    told = '; '.join(f'{item["title"]}: {points_interval(item)}, {_tests(item, ", ")}' for item in items)
    content = svg.inline(f'forest-{number}', f'{family}, differences in points: {told}', lambda: _draw_family(items))
    measures = ' and '.join(dict.fromkeys(MEASURES[item['measure']].title for item in items))
    caption = f'<strong>{text(family)}</strong>: difference in pooled fluid {text(measures)}, percentage points.'
    return figure(content, caption)


def _wrapped(title: str) -> list[str]:
    lines = textwrap.wrap(title, _CHARACTERS) or ['']
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], lines[_LINES - 1][: _CHARACTERS - 1] + '…']


def _draw_family(items: Sequence[Comparison]) -> 'Figure':
    from matplotlib.transforms import blended_transform_factory

    titles = [_wrapped(item['title']) for item in items]
    heights = [len(lines) + 2.4 for lines in titles]
    drawn = svg.new_figure(0.55 + _LINE * sum(heights))
    axes = drawn.add_subplot()
    across = blended_transform_factory(axes.transAxes, axes.transData)
    top = 0.0
    for item, lines, height in zip(items, titles, heights, strict=True):
        behind = {'facecolor': svg.PAPER, 'edgecolor': 'none', 'pad': 1}
        axes.text(
            0, top + 0.15, '\n'.join(lines), transform=across, va='top', fontsize=8.5, linespacing=1.25, zorder=5, bbox=behind
        )
        place = top + len(lines) + 1.3
        if item['difference'] is None:
            axes.text(0.02, place, 'undefined', transform=across, va='center', fontsize=8.5, style='italic')
        else:
            if item['interval']:
                axes.plot([100 * end for end in item['interval']], [place] * 2, color=svg.series(0), linewidth=2.2)
            axes.plot(100 * item['difference'], place, marker='D', markersize=6, color=svg.series(0), markeredgecolor=svg.PAPER)
        axes.text(1.02, place, _tests(item, '\n'), transform=across, va='center', fontsize=8.5, linespacing=1.25)
        top += height
    axes.axvline(0, color=svg.INK, linewidth=1)
    axes.set_ylim(top, 0.1)
    axes.set_yticks([])
    axes.grid(visible=False, axis='y')
    axes.spines['left'].set_visible(False)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -1), max(high, 1))
    axes.locator_params(axis='x', nbins=6)
    axes.set_xlabel('difference, percentage points')
    return drawn


def _family_table(family: str, items: Sequence[Comparison]) -> str:
    rows = []
    for item in items:
        ends = item['interval']
        interval = f' <span class="interval">[{text(points(ends[0]))}, {text(points(ends[1]))}]</span>' if ends else ''
        note = f'<br><span class="soft">{text(item["note"])}</span>' if item['note'] else ''
        rows.append([
            text(item['title']) + note,
            text(item['arm']),
            text(item['reference']),
            f'<span class="value">{text(points(item["difference"]))}</span>{interval}',
            text(p_value(item['p'])),
            text(p_value(item['p_holm'])),
            text(item['images']),
            text(item['subjects']),
            f'{text(item["seeds"][0])} and {text(item["seeds"][1])}',
        ])  # fmt: skip
    header = ['difference', 'of', 'minus', 'points [95 % interval]', 'p', 'p, Holm', 'images', 'patients', 'seeds']
    return table(f'Family: {family}', header, rows)
