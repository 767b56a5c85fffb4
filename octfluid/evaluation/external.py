"""Scores on scans of other devices, device by device, with what is marked where there is no fluid."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.evaluation import markdown as md
from octfluid.evaluation.counts import pooled_metrics
from octfluid.evaluation.runs import DECIMALS, Run, conditions_of

ALL = 'all devices'


def device_of(name: str) -> str:
    """Return the device that a scan's name begins with: what stands before its last underscore, ``Cirrus`` of ``Cirrus_3``."""
    return name.rpartition('_')[0] or name


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the scores of each test by device.

    Args:
        runs: Unique runs on external data; those with overrides that change a result are left out.

    Returns:
        One mapping a run, by label: ``config``, ``variant``, ``seed``, ``checkpoint_sha256``, ``devices`` and ``conditions``.
        ``devices`` are mappings of ``device`` (the last is `ALL`), ``scans``, ``with_fluid``, ``dice`` (pooled; None without
        fluid, true or predicted), ``precision``, ``recall``, ``empty`` (scans without fluid), ``marked`` (those of them in
        which fluid is marked) and ``false_share`` (the share of their pixels that is).
    """
    found = []
    for run in sorted((run for run in runs if not run.changed), key=lambda run: run.label):
        images = run.record['images']
        names = sorted({device_of(image['name']) for image in images})
        devices = [_device(name, [image for image in images if device_of(image['name']) == name]) for name in names]
        record = {key: run.record[key] for key in ('config', 'variant', 'seed', 'checkpoint_sha256')}
        found.append(
            {'label': run.label, **record, 'devices': [*devices, _device(ALL, images)], 'conditions': conditions_of([run])}
        )
    return found


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, DECIMALS) if whole else None


def _device(name: str, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    empty = [image for image in images if not image['tp'] + image['fn']]
    tp, fp, fn = (sum(image[key] for image in images) for key in ('tp', 'fp', 'fn'))
    dice = pooled_metrics(images)['Dice.fluid']
    return {
        'device': name,
        'scans': len(images),
        'with_fluid': len(images) - len(empty),
        'dice': None if dice is None else round(dice, DECIMALS),
        'precision': _ratio(tp, tp + fp),
        'recall': _ratio(tp, tp + fn),
        'empty': len(empty),
        'marked': sum(image['fp'] > 0 for image in empty),
        'false_share': _ratio(sum(image['fp'] for image in empty), sum(image['height'] * image['width'] for image in empty)),
    }


def render(tests: Sequence[Mapping[str, Any]]) -> str:
    """Return ``external.md`` from the output of `build`."""
    text = f'# Scans of other devices\n\n{md.WRITTEN_BY}\n\n'
    if not tests:
        return text + 'No run is recorded.\n'
    header = ['device', 'scans', 'with fluid', 'fluid Dice %', 'precision %', 'recall %', 'scans without fluid, marked']
    for test in tests:
        variant = f', {test["variant"]}' if test['variant'] else ''
        text += f'## `{test["config"]}`{variant}, weights {test["checkpoint_sha256"][:8]}\n\n'
        text += md.table([*header, 'false share of their pixels %'], map(_line, test['devices'])) + '\n'
        text += md.bullets(md.conditions_notes(test['conditions'])) + '\n'
    return text + '## How to read it\n\n' + md.bullets([
        'The network was trained on Duke DME alone (Heidelberg Spectralis, diabetic macular edema). None of these scans took '
        'part in training it or in choosing anything.',
        'Scores are pooled over the pixels of all scans of a device; a dash where no scan holds fluid. With so few scans there '
        'are no intervals: one scan can turn a figure.',
        'The masks are coarse and mark intraretinal and subretinal fluid alike; Duke DME has little of the latter.',
    ])  # fmt: skip


def _line(device: Mapping[str, Any]) -> list[str]:
    scores = ('dice', 'precision', 'recall') if device['with_fluid'] else ()
    return [
        device['device'], str(device['scans']), str(device['with_fluid']),
        *([md.percent(device[name]) for name in scores] or ['-'] * 3),
        f'{device["marked"]} of {device["empty"]}' if device['empty'] else '-',
        md.percent(device['false_share']),
    ]  # fmt: skip
