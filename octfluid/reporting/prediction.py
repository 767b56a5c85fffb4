"""The page on the shipped model's warnings and measurements, from the checks in ``docs/results/prediction``."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from octfluid.reporting.pages import Page, notes
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json

SCHEMA = 'octfluid.prediction-check/1'
FOLDER = 'prediction'
"""The checks are in this folder next to the pages."""
KINDS = ('guard', 'areas', 'int8')


def read_checks(folder: Path) -> dict[str, Any]:
    """Read ``guard.json``, ``areas.json`` and ``int8.json``, as far as they are there.

    Raises:
        InputError: A file is not a check of predictions.
    """
    found = {}
    for kind in KINDS:
        path = Path(folder) / f'{kind}.json'
        if path.exists():
            content = read_json(path)
            if not isinstance(content, dict) or (content.get('schema'), content.get('kind')) != (SCHEMA, kind):
                raise InputError(f'{path}: expected a check with "schema": "{SCHEMA}" and "kind": "{kind}"')
            found[kind] = content
    return found


def _graded(one: Mapping[str, Any], digits: int) -> list[str]:
    dice = '-' if one['dice'] is None else f'{one["dice"]:.3f}'
    return [*(f'{one[key]:.{digits}f}' for key in ('found_mm2', 'graded_mm2')), dice]


def _guard(page: Page, groups: list[Mapping[str, Any]]) -> None:
    page.heading('Warnings of scans unlike the training data')
    page.table(['scans', 'number', 'warned of', 'reason'], [
        [
            group['scans'],
            str(group['number']),
            f'{group["warned"]} ({100 * group["warned"] / group["number"]:.0f} %)',
            ', '.join(f'{kind}: {count}' for kind, count in sorted(group['kinds'].items())) or '-',
        ]
        for group in groups
    ])  # fmt: skip


def _areas(page: Page, subjects: list[Mapping[str, Any]]) -> None:
    page.heading('Areas and volumes of the Duke subjects')
    header, rows = ['found, mm2', 'grader 1, mm2', 'Dice with grader 1'], []
    for subject in subjects:
        graded = subject['graded']
        dice = [one['dice'] for one in graded if one['dice'] is not None]
        total = {key: math.fsum(one[key] for one in graded) for key in ('found_mm2', 'graded_mm2')}
        total['dice'] = math.fsum(dice) / len(dice) if dice else None
        volume = f'{subject["fluid_mm3"]:.3f}'
        rows.append([str(subject['subject']), str(subject['bscans']), volume, str(len(graded)), *_graded(total, 3)])
    page.table(['subject', 'B-scans', 'volume, mm3', 'graded', *header], rows)
    page.heading(f'The graded B-scans of subject {subjects[0]["subject"]}', 3)
    page.table(['B-scan', *header], [[str(one['bscan']), *_graded(one, 4)] for one in subjects[0]['graded']])


def _int8(page: Page, check: Mapping[str, Any]) -> None:
    page.heading('The model in 8 bits')
    one = check['found'][0]
    page.table(['numbers of the model', 'fluid Dice with grader 1', 'ms a B-scan', 'file, MB', 'pixels that differ'], [
        [name, f'{one["dice"][k]:.4f}', f'{one["milliseconds"][k]:.1f}', f'{one["megabytes"][k]:.1f}', differ]
        for k, (name, differ) in enumerate((('float32 (shipped)', '-'), ('8 bits (`--int8`)', f'{one["pixels"]:.4%}')))
    ])  # fmt: skip
    page.text(f'{one["scans"]} graded B-scans; {check["device"]}.')


def page(checks: Mapping[str, Any]) -> Page:
    """Return ``prediction.md`` from the output of `read_checks`."""
    page = Page('prediction.md', 'Warnings and measurements of the shipped model')
    if 'guard' in checks:
        _guard(page, checks['guard']['found'])
    if 'areas' in checks:
        _areas(page, checks['areas']['found'])
    if 'int8' in checks:
        _int8(page, checks['int8'])
    page.how_to_read(notes('prediction'))
    return page
