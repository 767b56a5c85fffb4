"""The results pages: Markdown from the templates of this package, and one HTML page that holds them all."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import jinja2
from markdown_it import MarkdownIt

from octfluid.metrics.bootstrap import MIN_SUBJECTS
from octfluid.metrics.seed_intervals import MIN_SEEDS
from octfluid.metrics.summary import MEASURES
from octfluid.records.provenance import FULL, Start
from octfluid.reporting import comparisons, estimates, formats, recipes, table1
from octfluid.reporting.folds import TRAINED_ON
from octfluid.reporting.published import read_published

WRITTEN_BY = '<!-- written by tools/report.py from the records; do not edit -->'
USUAL = ('400 iterations', 'CE', 'SGD', 'weight decay 5e-4')
"""What most rows of table 2 have; the README names what differs."""
_HTML_IN_MARKDOWN = re.compile(r'(`[^`\n]*`)|<(?=[A-Za-z/!?])')
_TO_REPOSITORY = re.compile(r'(?<!!)\[([^][]+)\]\((?:\.\./|records/)[^)]*\)')
_FORMATS = ('percent', 'points', 'spread', 'points_interval', 'estimate', 'p_value', 'duration', 'mark', 'seeds', 'conditions',
            'config_link', 'records_link', 'start_label', 'start_title', 'thousands')  # fmt: skip


@cache
def templates() -> jinja2.Environment:
    """Return the templates of this package, with filters for scores and links."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('octfluid.reporting'),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {name: getattr(formats, name) for name in _FORMATS}
    environment.filters |= {
        'json': json.dumps,
        'leakage_verdict': comparisons.leakage_verdict,
        'own': lambda groups: filter(recipes.is_own, groups),
        'plotted': recipes.plotted,
        'start': Start.of,
    }
    environment.globals |= {
        'AREAS': estimates.AREAS,
        'FAILED': comparisons.FAILED,
        'FREE': formats.FREE,
        'FULL': FULL,
        'MARGIN': comparisons.MARGIN,
        'MEASURES': MEASURES,
        'MIN_SEEDS': MIN_SEEDS,
        'MIN_SUBJECTS': MIN_SUBJECTS,
        'NOT_RUN': formats.NOT_RUN,
        'PROTOCOLS': recipes.PROTOCOLS,
        'PUBLISHED': read_published('published_fluid.csv'),
        'SCORES': formats.SCORES,
        'SPLITS': table1.SPLITS,
        'TRAINED_ON': TRAINED_ON,
        'USUAL': USUAL,
    }
    return environment


def _for_cells(value: Any) -> Any:
    """Return results with texts that fit into a table cell: on one line, without a bar."""
    if isinstance(value, str):
        return ' '.join(value.replace('|', '\\|').split())
    if isinstance(value, Mapping):
        return {_for_cells(key): _for_cells(item) for key, item in value.items()}
    return [_for_cells(item) for item in value] if isinstance(value, list | tuple) else value


def render(
    name: str, results: Mapping[str, Any], figures: Iterable[str] = (), pictures: Mapping | None = None, published: bool = True
) -> str:
    """Return the text of a template as Markdown, in which no name from a record begins an HTML tag or comment.

    Args:
        name: Of the page, ``table2.md``, or ``readme.md``.
        results: What the page needs of the output of `octfluid.reporting.report.build_results`.
        figures: File names of the figures that were drawn.
        pictures: Key of a group, or label of a test on scans of other devices -> role -> path below the results folder.
        published: Show sections without runs, too.
    """
    template = templates().get_template(f'{name}.j2')
    text = template.render(_for_cells(results), figures=figures, pictures=_for_cells(pictures or {}), published=published)
    text = _HTML_IN_MARKDOWN.sub(lambda found: found[1].replace('<!--', '&lt;!--') if found[1] else '&lt;', text)
    text = re.sub(r'\n{3,}', '\n\n', text).strip('\n') + '\n'
    return text + (f'\n{formats.MIXED_NOTE}\n' if formats.MIXED in text else '')


def render_page(name: str, results: Mapping[str, Any], *shown: Any, linked: bool = True) -> str:
    """Return a page of the results folder; ``shown`` are figures and pictures, see `render`.

    Without ``linked`` it has no links to configs and records, which are valid only in ``docs/results``, and is empty if it has
    nothing to show.
    """
    title, _, text = render(name, results, *shown, published=linked).partition('\n')
    if not title:
        return ''
    text = text if linked else _TO_REPOSITORY.sub(r'\1', text)
    return f'{title}\n\n{WRITTEN_BY}\n{text}'


def render_html(title: str, pages: Mapping[str, str], pictures: Mapping[str, bytes]) -> str:
    """Return all pages, Markdown by name, as one HTML page without scripts that needs no other file and no network.

    ``pictures`` are the PNG files by the path that pages give.
    """
    markdown, sections = MarkdownIt('commonmark', {'html': False}).enable('table'), {}
    for name, text in pages.items():
        html = markdown.render(f'\n{text}'.replace(WRITTEN_BY, '').replace('\n#', '\n##'))  # below the title of the page
        html = html.replace('<table>', '<div class="scroll" tabindex="0"><table>').replace('</table>', '</table></div>')
        for path, png in pictures.items():
            html = html.replace(f'src="{path}"', f'src="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"')
        sections[name] = html
    return templates().get_template('report.html.j2').render(title=title, sections=sections)
