"""The figures of ``docs/reliability.md``: faults injected, inputs fuzzed, requests served, and how often all held."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from octfluid.records.fields import COUNT, LIST, OBJECT, TEXT, check_object, one_of
from octfluid.reporting import markdown as md
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.faults/1'
FOLDER = 'reliability'
"""Its records lie in this folder beside the pages."""
TITLES = {
    'crash': 'Processes killed, disks full, runs interrupted',
    'silent': 'Wrong data and wrong training',
    'hostile': 'Hostile files',
    'fuzz': 'Mutated inputs',
    'page': 'The page under load',
    'reproducibility': 'The same twice',
}
_ROW = {'what': TEXT, 'tried': COUNT, 'held': COUNT, 'command': TEXT, 'details': OBJECT, 'date': TEXT, 'device': TEXT}


def read_faults(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Read the records that fault tests write, by kind, in the order of `TITLES`.

    Raises:
        InputError: A file is none of them.
    """
    found = {}
    for path in sorted(Path(folder).glob('*.json')):
        content, where = read_json(path), f'{path}: no record of faults, write it again with the fault tests'
        own = (lambda kind, stem=path.stem: kind == stem and kind in TITLES, f'the name of the file, of {", ".join(TITLES)}')
        check_object(where, '', content, {'schema': one_of((SCHEMA,)), 'kind': own, 'rows': LIST})
        for place, row in enumerate(content['rows']):
            check_object(where, f'rows[{place}]', row, _ROW)
        found[path.stem] = content['rows']
    return {kind: found[kind] for kind in TITLES if kind in found}


def _number(value: Any) -> str:
    return (
        f'{value:,}'.replace(',', ' ') if isinstance(value, int) else f'{value:.3g}' if isinstance(value, float) else str(value)
    )


def _details(details: Mapping[str, Any]) -> str:
    return ', '.join(f'{name.replace("_", " ")} {_number(value)}' for name, value in details.items()) or '-'


def render_block(faults: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return what stands between the page's markers, from the output of `read_faults`."""
    tried = sum(row['tried'] for rows in faults.values() for row in rows)
    held = sum(row['held'] for rows in faults.values() for row in rows)
    text = f'{_number(held)} of {_number(tried)} held.\n'
    for kind, rows in faults.items():
        table = md.table(
            ['what', 'tried', 'held', 'more'],
            [[row['what'], _number(row['tried']), _number(row['held']), _details(row['details'])] for row in rows],
        )
        commands = ''.join(f'{command}\n' for command in dict.fromkeys(row['command'] for row in rows))
        when = ', '.join(sorted({row['date'] for row in rows}))
        device = ', '.join(sorted({row['device'] for row in rows}))
        text += f'\n### {TITLES[kind]}\n\n{table}\n{when}, {device}:\n\n```bash\n{commands}```\n'
    return md.without_markup(text)
