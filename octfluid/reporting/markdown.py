"""How tables write numbers, pending cells, and what was run where."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from octfluid.records.runs import mixed

PENDING = 'pending'
WRITTEN_BY = '<!-- written by tools/report.py from the records; do not edit -->'
MIXED = '†'
"""Marks what comes from runs on different devices or in different precision."""
SCORES = {'mIoU': 'mIoU', 'mDice': 'mDice', 'Dice': 'fluid Dice', 'IoU': 'fluid IoU'}
_MARKUP = re.compile(r'(`[^`\n]*`)|<(?=[A-Za-z/!?])')


def without_markup(text: str) -> str:
    """Return Markdown in which nothing but `WRITTEN_BY` begins an HTML tag or comment: names in records come from elsewhere."""

    def safe(found: re.Match) -> str:
        # Code is shown as it is; a comment in it might be taken for the marker of a block.
        return found[1].replace('<!--', '&lt;!--') if found[1] else '&lt;'

    return WRITTEN_BY.join(_MARKUP.sub(safe, part) for part in text.split(WRITTEN_BY))


def percent(value: float | None) -> str:
    """Return a fraction as percent with two decimals, a dash for an undefined one."""
    return '-' if value is None else f'{100 * value:.2f}'


def percent_spread(score: Mapping[str, Any]) -> str:
    """Return ``mean ± SD`` in percent from an element of `summarise`; without SD when there is none."""
    return percent(score['mean']) + ('' if score['sd'] is None else f' ± {percent(score["sd"])}')


def seeds(summary: Mapping[str, Any]) -> str:
    """Return ``n = 3`` from the output of `summarise`, with `MIXED` where the runs differ in more than their seeds."""
    return f'n = {summary["n"]}{mark(summary)}'


def mark(*summaries: Mapping[str, Any] | None) -> str:
    """Return `MIXED`, after a space, if the runs behind summaries differ in device or precision; None stands for no runs."""
    return f' {MIXED}' if mixed(*(summary for summary in summaries if summary)) else ''


def mixed_notes(text: str) -> list[str]:
    """Return the line that explains `MIXED`, if a text has any."""
    note = f'{MIXED}: from runs on different devices or in different precision, which adds to what differs between them.'
    return [note] if MIXED in text else []


def duration(seconds: float | None) -> str:
    """Return a time as hours and minutes, or minutes and seconds below an hour; a dash for None."""
    if seconds is None:
        return '-'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes // 60} h {minutes % 60:02d} min' if minutes >= 60 else f'{minutes} min {rest:02d} s'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, one line a row, ending in a newline; what would end a cell is written so that it does not."""
    lines = [header, ['---'] * len(header), *rows]
    cells = ([' '.join(cell.replace('|', '\\|').split()) for cell in line] for line in lines)
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in cells)


def bullets(notes: Iterable[str]) -> str:
    """Return ``- note`` lines, each ending in a newline."""
    return ''.join(f'- {note}\n' for note in notes)


def not_used_section(pairs: Sequence[Sequence[str]]) -> str:
    """Return the section that lists runs that do not count; empty without any."""
    return '\n## Not used\n\n' + bullets(f'`{label}`: {reason}' for label, reason in pairs) if pairs else ''


def weights_line(weights: Sequence[Mapping[str, str]]) -> str:
    """Return a paragraph that names files of initial weights with the first digits of their SHA-256; empty without any."""
    files = ', '.join(f'`{item["name"]}` (SHA-256 `{item["sha256"][:8]}...`)' for item in weights)
    return f'Initial weights: {files}.\n\n' if files else ''


def conditions_notes(content: Mapping[str, Any]) -> list[str]:
    """Return the lines about devices and precisions from a mapping with the keys of `conditions_of`; none without runs."""
    if not content['devices']:
        return []
    return [
        f'{title} of the runs: ' + ', '.join(f'{name} ({number})' for name, number in content[key].items()) + '.'
        for key, title in (('devices', 'Devices'), ('precisions', 'Precisions'))
    ] + ['Device, precision, versions and commit of each run are in its record.']


def figure(name: str, caption: str) -> str:
    """Return a picture of the folder ``figures`` with its caption, which is its alternative text too."""
    return f'![{caption}](figures/{name})\n\n*{caption}*\n\n'
