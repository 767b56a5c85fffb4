"""Pieces of HTML that the sections of the page are made of; what comes from records is escaped here and nowhere else."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from octfluid.reporting.estimates_page import number


def text(value: Any) -> str:
    """Return a value as text that is safe between tags and within quoted attributes."""
    return html.escape(str(value), quote=True)


def code(value: Any) -> str:
    """Return a value as a piece of code, which may break after a slash or an underscore."""
    safe = text(value)
    for mark in '/_':
        safe = safe.replace(mark, f'{mark}<wbr>')
    return f'<code>{safe}</code>'


def paragraph(words: str, kind: str = '') -> str:
    """Return a paragraph of text that is escaped here, with a class if one is given."""
    return f'<p{_class(kind)}>{text(words)}</p>\n'


def bullets(items: Iterable[str]) -> str:
    """Return a list of items that are HTML already; empty without any."""
    lines = ''.join(f'<li>{item}</li>\n' for item in items)
    return f'<ul>\n{lines}</ul>\n' if lines else ''


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str | tuple[str, int]]]) -> str:
    """Return a table that scrolls within its own box where the screen is narrow.

    Args:
        caption: What the table shows; escaped here.
        header: Titles of the columns; escaped here.
        rows: Cells that are HTML already, with a number of columns if they take several; the first of each line is its heading.
    """
    head = ''.join(f'<th scope="col">{text(title)}</th>' for title in header)
    body = ''
    for first, *cells in rows:
        parts = (f'<td>{cell}</td>' if isinstance(cell, str) else f'<td colspan="{cell[1]}">{cell[0]}</td>' for cell in cells)
        body += f'<tr><th scope="row">{first}</th>{"".join(parts)}</tr>\n'
    return (
        f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0">\n<table>\n'
        f'<caption><span>{text(caption)}</span></caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n'
    )


def figure(content: str, caption: str, kind: str = '') -> str:
    """Return a picture with the caption below it; both are HTML already."""
    return f'<figure{_class(kind)}>\n{content}\n<figcaption>{caption}</figcaption>\n</figure>\n'


def grid(figures: Iterable[str]) -> str:
    """Return figures side by side where there is room for more than one."""
    return f'<div class="grid">\n{"".join(figures)}</div>\n'


def fold(title: str, content: str) -> str:
    """Return HTML that is shown when the reader asks for it, and always in print."""
    return f'<details>\n<summary>{text(title)}</summary>\n{content}</details>\n'


def section(name: str, title: str, content: str) -> str:
    """Return a section of the page under its heading; ``name`` is where the contents point."""
    heading = f'<h2 id="{name}-title">{text(title)}</h2>'
    return f'<section id="{name}" aria-labelledby="{name}-title">\n{heading}\n{content}</section>\n'


def estimate(found: Mapping[str, Any], unit: str) -> str:
    """Return a value with its interval below it, from an element of `octfluid.metrics.bootstrap.estimates`."""
    value, ends = text(number(found['value'], unit)), found['interval']
    if not ends:
        return f'<span class="value">{value}</span>'
    low, high = (text(number(end, unit)) for end in ends)
    return f'<span class="value">{value}</span> <span class="interval">[{low}, {high}]</span>'


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ''
