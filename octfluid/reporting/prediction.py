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
    paths = {kind: Path(folder) / f'{kind}.json' for kind in KINDS}
    found = {kind: read_json(path) for kind, path in paths.items() if path.exists()}
    for kind, content in found.items():
        if not isinstance(content, dict) or (content.get('schema'), content.get('kind')) != (SCHEMA, kind):
            raise InputError(f'{paths[kind]}: expected a check with "schema": "{SCHEMA}" and "kind": "{kind}"')
    return found


def _graded(one: Mapping[str, Any], digits: int) -> list[str]:
    dice = '-' if one['dice'] is None else f'{one["dice"]:.3f}'
    return [*(f'{one[key]:.{digits}f}' for key in ('found_mm2', 'graded_mm2')), dice]


def _guard(page: Page, check: Mapping[str, Any]) -> None:
    page.heading('Warnings of scans unlike the training data')
    rows = []
    for group in check['found']:
        warned = f'{group["warned"]} ({100 * group["warned"] / group["number"]:.0f} %)'
        reasons = ', '.join(f'{kind}: {count}' for kind, count in sorted(group['kinds'].items()))
        rows.append([group['scans'], str(group['number']), warned, reasons or '-'])
    page.table(['scans', 'number', 'warned of', 'reason'], rows)


def _areas(page: Page, check: Mapping[str, Any]) -> None:
    page.heading('Areas and volumes of the Duke subjects')
    header, rows = ['found, mm2', 'grader 1, mm2', 'Dice with grader 1'], []
    for subject in check['found']:
        graded = subject['graded']
        dice = [one['dice'] for one in graded if one['dice'] is not None]
        total = {key: math.fsum(one[key] for one in graded) for key in ('found_mm2', 'graded_mm2')}
        total['dice'] = math.fsum(dice) / len(dice) if dice else None
        numbers = (subject['subject'], subject['bscans'], f'{subject["fluid_mm3"]:.3f}', len(graded))
        rows.append([*map(str, numbers), *_graded(total, 3)])
    page.table(['subject', 'B-scans', 'volume, mm3', 'graded', *header], rows)
    first = check['found'][0]
    page.heading(f'The graded B-scans of subject {first["subject"]}', 3)
    page.table(['B-scan', *header], [[str(one['bscan']), *_graded(one, 4)] for one in first['graded']])


def _int8(page: Page, check: Mapping[str, Any]) -> None:
    page.heading('The model in 8 bits')
    one = check['found'][0]
    columns = zip(one['dice'], one['milliseconds'], one['megabytes'], strict=True)
    numbers = [[f'{dice:.4f}', f'{ms:.1f}', f'{mb:.1f}'] for dice, ms, mb in columns]
    rows = [['float32 (shipped)', *numbers[0], '-'], ['8 bits (`--int8`)', *numbers[1], f'{one["pixels"]:.4%}']]
    header = ['numbers of the model', 'fluid Dice with grader 1', 'ms a B-scan', 'file, MB', 'pixels that differ']
    page.table(header, rows)
    page.text(f'{one["scans"]} graded B-scans; {check["device"]}.')


def page(checks: Mapping[str, Any]) -> Page:
    """Return ``prediction.md`` from the output of `read_checks`."""
    page = Page('prediction.md', 'Warnings and measurements of the shipped model')
    for kind, add in zip(KINDS, (_guard, _areas, _int8), strict=True):
        if kind in checks:
            add(page, checks[kind])
    page.how_to_read(notes('prediction'))
    return page
