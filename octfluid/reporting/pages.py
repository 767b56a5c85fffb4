"""A results page as a list of blocks, and its two forms: a Markdown file, and a section of the one HTML page."""

import base64
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from octfluid.reporting.formats import MIXED, MIXED_NOTE, estimate

WRITTEN_BY = '<!-- written by tools/report.py from the records; do not edit -->'
_HTML_IN_MARKDOWN = re.compile(r'(`[^`\n]*`)|<(?=[A-Za-z/!?])')
# A link leads to a file of the repository: no name from a record can make a scheme, such as javascript:, of it.
_TO_REPOSITORY = r'(?:\.\./|records/)'
_LINK = re.compile(r'\[([^][]+)\]\(([\w./+#-]+)\)')


@dataclass
class Page:
    """A results page.

    Attributes:
        name: File name in the results folder, ``table2.md``.
        title: Heading of the page.
        blocks: Mappings with ``kind`` (``heading``, ``text``, ``bullets``, ``table`` or ``picture``) and content. Texts and
            cells are Markdown with code, links and bold alone.
    """

    name: str
    title: str
    blocks: list[dict[str, Any]] = field(default_factory=list)

    def heading(self, text: str, level: int = 2) -> None:
        """Begin a section."""
        self.blocks.append({'kind': 'heading', 'text': text, 'level': level})

    def text(self, *paragraphs: str) -> None:
        """Add paragraphs; empty ones are left out."""
        self.blocks += [{'kind': 'text', 'text': text} for text in paragraphs if text]

    def bullets(self, items: Iterable[str]) -> None:
        """Add a list; nothing without items."""
        if items := list(items):
            self.blocks.append({'kind': 'bullets', 'items': items})

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table."""
        self.blocks.append({'kind': 'table', 'header': list(header), 'rows': [list(row) for row in rows]})

    def picture(self, path: str, name: str) -> None:
        """Add a picture with the caption of this name in ``notes.toml``; ``path`` is relative to the results folder."""
        self.blocks.append({'kind': 'picture', 'path': path, 'caption': _texts()['captions'][name]})

    def gallery(self, pictures: Mapping[str, str]) -> None:
        """Add pictures by the role of the scan."""
        for role, path in pictures.items():
            self.picture(path, role)

    def figure(self, name: str, figures: Iterable[str]) -> None:
        """Add a figure of the folder ``figures`` if it was drawn."""
        if name in figures:
            self.picture(f'figures/{name}', name)

    def how_to_read(self, notes: Iterable[str]) -> None:
        """Add the notes to the tables so far."""
        cells = (cell for block in self.blocks if block['kind'] == 'table' for row in block['rows'] for cell in row)
        self.heading('How to read it')
        self.bullets([*notes, *([MIXED_NOTE] if any(MIXED in cell for cell in cells) else [])])

    def not_used(self, pairs: Sequence[Sequence[str]]) -> None:
        """Add the runs that do not count, with the reason; nothing without such runs."""
        if pairs:
            self.heading('Not used')
            self.bullets(f'`{label}`: {reason}' for label, reason in pairs)


@cache
def _texts() -> dict[str, Any]:
    return tomllib.loads(resources.files('octfluid.reporting').joinpath('notes.toml').read_text(encoding='utf-8'))


def notes(name: str, **values: Any) -> list[str]:
    """Return the notes of a page or section from ``notes.toml``, with values filled in."""
    return [templates().from_string(line).render(values) for line in _texts()[name]]


def config_link(config: str, text: str | None = None) -> str:
    """Return a Markdown link from a page to a config, such as ``configs/table2/01_iters200.py``."""
    return f'[{text or f"`{config}`"}](../../{config})'


def records_link(labels: Sequence[str], text: str | None = None) -> str:
    """Return a Markdown link from a page to a published record, or to the folder of several."""
    target = labels[0] if len(labels) == 1 else labels[0].rpartition('/')[0]
    return f'[{text or "record"}](records/{target})'


def _cell(text: str) -> str:
    return ' '.join(text.replace('|', '\\|').split())


def _inline(text: str) -> Markup:
    """Return code, links and bold of a Markdown text as HTML; all else is escaped."""
    parts = re.split(r'`([^`]*)`', text)
    parts[1::2] = [f'<code>{escape(part)}</code>' for part in parts[1::2]]
    parts[::2] = [re.sub(r'\*\*(.+?)\*\*', r'<strong>\1</strong>', escape(part)) for part in parts[::2]]
    return Markup(_LINK.sub(r'<a href="\2">\1</a>', ''.join(parts)))


@cache
def templates() -> jinja2.Environment:
    """Return the templates of this package, with filters for their cells, texts and measures."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('octfluid.reporting'),
        autoescape=jinja2.select_autoescape(['html.j2'], default_for_string=False),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {'cell': _cell, 'inline': _inline, 'estimate': estimate}
    return environment


def render_markdown(page: Page, linked: bool = True) -> str:
    """Return a page as Markdown, in which no name from a record begins an HTML tag or comment.

    Without ``linked`` it has no links to configs and records, which lead somewhere from ``docs/results`` alone.
    """
    text = templates().get_template('page.md.j2').render(page=page)
    text = text if linked else re.sub(rf'(?<!!)\[([^][]+)\]\({_TO_REPOSITORY}[^)]*\)', r'\1', text)
    return f'# {page.title}\n\n{WRITTEN_BY}\n{safe_markdown(text)}'


def safe_markdown(text: str) -> str:
    """Return Markdown without HTML: outside of code a tag's first character is written as an entity."""
    return _HTML_IN_MARKDOWN.sub(lambda found: found[1].replace('<!--', '&lt;!--') if found[1] else '&lt;', text)


def render_html(title: str, pages: Sequence[Page], pictures: Mapping[str, bytes], linked: bool = True) -> str:
    """Return all pages as one HTML page without scripts that needs no other file and no network.

    ``pictures`` are PNG files by the path that blocks name; a picture that is not among them is left out.
    """
    data = {path: f'data:image/png;base64,{base64.b64encode(png).decode("ascii")}' for path, png in pictures.items()}
    text = templates().get_template('report.html.j2').render(title=title, pages=pages, pictures=data)
    return text if linked else re.sub(rf'<a href="{_TO_REPOSITORY}[^"]*">(.*?)</a>', r'\1', text)
