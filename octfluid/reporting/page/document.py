"""The page as a whole: its sections in their order, and what stands around them."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.records.runs import Run
from octfluid.reporting.page import commands, forest, pictures, plots, reading, tables
from octfluid.reporting.page.groups import LETTERS, Group, named, shown
from octfluid.reporting.page.markup import bullets, grid, paragraph, section, text
from octfluid.reporting.page.style import CSS

TITLE = 'Retinal fluid segmentation in OCT: results with their uncertainty'
# The browser itself then refuses whatever is not in this file.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render_page(results: Mapping[str, Any], runs: Sequence[Run]) -> str:
    """Return the results as one HTML page that needs no other file, no script and no network.

    A pure function of its arguments and of the pictures that lie beside the records; the same bytes wherever it is called.

    Args:
        results: Content of ``results.json``, of which ``estimates`` is shown.
        runs: The unique runs behind it, whose histories, commands and versions are shown; those that are missing here are
            left out.

    Returns:
        The page, ending in a newline.

    Raises:
        InputError: A picture beside a record cannot be read, or is no PNG.
        WorkError: matplotlib is not installed.
    """
    groups, comparisons = results['estimates']['groups'], results['estimates']['comparisons']
    not_used = len(results['estimates']['not_used'])
    runs = sorted(runs, key=lambda run: run.label)
    sections = (
        ('scores', 'Scores', tables.headline(groups)),
        ('protocols', 'What the protocols let one conclude', tables.protocols(groups, comparisons)),
        *_plots(groups, runs),
        ('differences', 'Differences between configurations', forest.render(comparisons)),
        ('measures', 'All measures', tables.all_measures(groups)),
        ('gallery', 'Best, median and worst images', pictures.render(_shown_first(groups), runs)),
        ('published', 'Published results', reading.published()),
        ('reading', 'How to read the measures', reading.measures()),
        ('commands', 'Commands', commands.render(groups, runs)),
        ('versions', 'Versions', commands.versions(runs)),
    )
    links = ''.join(f'<li><a href="#{name}">{text(title)}</a></li>\n' for name, title, _ in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n<link rel="icon" href="data:,">\n'
        f'<title>{text(TITLE)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n'
        '<a class="skip" href="#main">Skip to the results</a>\n'
        f'<header>\n<h1>{text(TITLE)}</h1>\n{_introduction(groups, len(runs), not_used)}</header>\n'
        f'<nav aria-label="Contents">\n<ul>\n{links}</ul>\n</nav>\n<main id="main">\n'
        + ''.join(section(*part) for part in sections)
        + '</main>\n<footer>\n<p class="soft">Written by <code>tools/report.py</code> from run records alone.</p>\n</footer>\n'
        '</body>\n</html>\n'
    )


def _introduction(groups: Sequence[Group], runs: int, not_used: int) -> str:
    complete = sum(1 for group in groups if group['measures'])
    left_out = f' Not shown: {not_used} with settings of their own.' if not_used else ''
    return paragraph(
        f'How well each configuration of octfluid finds fluid in OCT B-scans of the retina, and how far that figure can be '
        f'trusted: {complete} of {len(groups)} configurations scored in full, from {runs} run records. Scores are percent, '
        'pooled over all pixels of the scored images unless a title says otherwise; brackets hold 95 % intervals over patients '
        'and seeds. No score of ours is typed by hand, and the page needs no network.' + left_out
    )


def _shown_first(groups: Sequence[Group]) -> list[Group]:
    chosen = shown(groups)
    return [*chosen, *(group for group in groups if group not in chosen)]


def _plots(groups: Sequence[Group], runs: Sequence[Run]) -> list[tuple[str, str, str]]:
    """Return the sections of plots, which show the same few groups by the same letters."""
    chosen = shown(groups)
    if not chosen:
        return []
    rule = (
        'Plots show '
        + (f'the {len(chosen)} groups' if len(groups) > len(chosen) else 'these groups')
        + ' below, by letter, colour and marker: the configuration that was scored under most protocols first, then those '
        'with the highest pooled Dice.'
    )
    names = bullets(named(index, group) for index, group in enumerate(chosen))
    scores = (
        'Left, the Dice of the pooled pixels of each patient: a mark for each seed, and a line at their mean. Right, for '
        'comparison, the true fluid of the patient in all scored scans together.'
    )
    areas = plots.agreement_figures(chosen)
    withheld = [LETTERS[index] for index, group in enumerate(chosen) if not group['bland_altman']]
    about = (
        'After Bland and Altman: a mark for each scan, its prediction averaged over the seeds. A good network has its marks '
        'near 0 all along.'
    )
    note = paragraph(f'Withheld because folds are missing: {", ".join(withheld)}.', 'soft') if withheld else ''
    return [
        ('patients', 'Patient by patient', paragraph(rule) + names + paragraph(scores) + grid(plots.subject_figures(chosen))),
        ('curves', 'Learning curves', plots.curves_figure(chosen, runs)),
        ('areas', 'Fluid area, predicted and true', (paragraph(about) + grid(areas) if areas else '') + note),
    ]
