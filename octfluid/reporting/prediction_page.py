"""The page on what predictions are worth: the warning of unlike scans, and areas and volumes against graders."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octfluid.records.fields import COUNT, FRACTION, LIST, TEXT, check_object, is_count, is_number, is_text, one_of
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.prediction-check/1'
FOLDER = 'prediction'
"""Its records lie in this folder beside the pages."""

_AMOUNT = (lambda value: is_number(value) and 0 <= value < 1e9, 'a number from 0 to 1e9')
_PAIR = (
    lambda value: isinstance(value, list) and len(value) == 2 and all(map(_AMOUNT[0], value)),
    'two numbers from 0 to 1e9, of the model and of its twin',
)
_COUNTS = (
    lambda value: isinstance(value, Mapping) and all(map(is_text, value)) and all(map(is_count, value.values())),
    'an object of non-negative integers',
)
_LINES = (lambda value: isinstance(value, list) and bool(value), 'a list that is not empty')
_FILE = {
    kind: {'schema': one_of((SCHEMA,)), 'kind': one_of((kind,)), 'found': _LINES, **more}
    for kind, more in {'guard': {}, 'areas': {}, 'int8': {'device': TEXT}}.items()
}
_LINE = {
    'guard': {'scans': TEXT, 'number': COUNT, 'warned': COUNT, 'kinds': _COUNTS},
    'areas': {
        'subject': (lambda value: is_count(value) or is_text(value), 'an integer or a string'),
        'bscans': COUNT,
        'fluid_mm3': _AMOUNT,
        'graded': LIST,
    },
    'int8': {
        'scans': COUNT,
        'pixels': (lambda value: is_number(value) and 0 <= value <= 1, 'a fraction in [0, 1]'),
        **dict.fromkeys(('dice', 'milliseconds', 'megabytes'), _PAIR),
    },
}
_GRADED = {'bscan': COUNT, 'found_mm2': _AMOUNT, 'graded_mm2': _AMOUNT, 'dice': FRACTION}


def read_checks(folder: Path) -> dict[str, Any]:
    """Read ``guard.json``, ``areas.json`` and ``int8.json``, as far as they are there.

    Raises:
        InputError: A file is none that ``tools/analysis_tools/check_prediction.py`` wrote.
    """
    found = {}
    for kind in _FILE:
        path = Path(folder) / f'{kind}.json'
        if path.exists():
            found[kind] = read_json(path)
            _check(found[kind], kind, f'{path}: no check of predictions, write it again with check_prediction.py')
    return found


def _check(content: Any, kind: str, where: str) -> None:
    check_object(where, '', content, _FILE[kind])
    for place, line in enumerate(content['found']):
        field = f'found[{place}]'
        check_object(where, field, line, _LINE[kind])
        for number, graded in enumerate(line['graded'] if kind == 'areas' else ()):
            check_object(where, f'{field}.graded[{number}]', graded, _GRADED)


def _guard(found: Mapping[str, Any] | None) -> str:
    header = ['scans', 'number', 'warned of', 'for what reason']
    lines = [
        [
            group['scans'],
            str(group['number']),
            f'{group["warned"]} ({100 * group["warned"] / group["number"]:.0f} %)' if group['number'] else '-',
            ', '.join(f'{kind}: {count}' for kind, count in sorted(group['kinds'].items())) or '-',
        ]
        for group in (found or {'found': []})['found']
    ]
    return md.table(header, lines or [[PENDING, *['-'] * (len(header) - 1)]])


def _areas(found: Mapping[str, Any] | None) -> str:
    header = ['subject', 'B-scans', 'volume, mm3', 'graded', 'found, mm2', 'grader 1, mm2', 'Dice with grader 1']
    lines = []
    for subject in (found or {'found': []})['found']:
        graded = subject['graded']
        sums = [math.fsum(one[key] for one in graded) for key in ('found_mm2', 'graded_mm2')]
        dice = [one['dice'] for one in graded if one['dice'] is not None]
        lines.append([
            str(subject['subject']), str(subject['bscans']), f'{subject["fluid_mm3"]:.3f}', str(len(graded)),
            *(f'{value:.3f}' for value in sums), f'{math.fsum(dice) / len(dice):.3f}' if dice else '-',
        ])  # fmt: skip
    return md.table(header, lines or [[PENDING, *['-'] * (len(header) - 1)]])


def _slices(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ''
    subject = found['found'][0]
    header = ['B-scan', 'found, mm2', 'grader 1, mm2', 'Dice with grader 1']
    lines = [
        [
            str(one['bscan']),
            *(f'{one[key]:.4f}' for key in ('found_mm2', 'graded_mm2')),
            '-' if one['dice'] is None else f'{one["dice"]:.3f}',
        ]
        for one in subject['graded']
    ]
    return f'### The graded B-scans of subject {subject["subject"]}\n\n{md.table(header, lines)}\n'


def _int8(found: Mapping[str, Any] | None) -> str:
    header = ['numbers of the model', 'fluid Dice with grader 1', 'ms a B-scan', 'file, MB', 'pixels that differ']
    if not found:
        return md.table(header, [[PENDING, *['-'] * (len(header) - 1)]])
    one = found['found'][0]
    lines = [
        [name, f'{dice:.4f}', f'{milliseconds:.1f}', f'{size:.1f}', differ]
        for name, dice, milliseconds, size, differ in zip(
            ('float32 (shipped)', '8 bits (`--int8`)'), one['dice'], one['milliseconds'], one['megabytes'],
            ('-', f'{one["pixels"]:.4%}'), strict=True,
        )
    ]  # fmt: skip
    return md.table(header, lines) + f'\n{one["scans"]} graded B-scans; {found["device"]}.\n'


NOTES = (
    'Warned of: single B-scans that `tools/predict.py` says look unlike what the model was made for. Limits were chosen on '
    'Duke scans alone; each Duke subject is judged by the look of the other nine. Everything but Duke scans as they are, JPEG '
    'included, should be warned of; scans of other devices are another matter: a warning says that they look different, not '
    'that the result is wrong.',
    'Areas: the shipped model, nominal scale 0.00387 x 0.01133 x 0.123 mm (the true one differs by subject and is not in the '
    'files). **It has been trained on these very scans**, so the table shows that measuring works, not how good the model '
    'is: that is in [recipes.md](recipes.md) and on its card. The grader marked only the middle of most B-scans, so that more '
    'is found for that reason too.',
    '8 bits: Dice on scans that the model was trained on, for the difference between the two rows only. Times by turns, scan '
    'by scan, on a machine that other work shared: their ratio tells more than they do.',
    'Dice with grader 1 is the mean over B-scans where either has fluid.',
)


def render(found: Mapping[str, Any]) -> str:
    """Return ``prediction.md`` from the output of `read_checks`."""
    text = f'# What predictions are worth\n\n{md.WRITTEN_BY}\n\n'
    text += f'## Does it notice scans that it was not made for?\n\n{_guard(found.get("guard"))}\n'
    text += f'## Areas and volumes of the Duke subjects\n\n{_areas(found.get("areas"))}\n{_slices(found.get("areas"))}'
    text += f'## What 8 bits cost and gain\n\n{_int8(found.get("int8"))}\n'
    return text + '## How to read it\n\n' + md.bullets(NOTES)
