"""Scores on scans of other devices, group by group as scans are named, with what is marked where there is no fluid."""

import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.runs import DECIMALS, Run, conditions_of
from octfluid.reporting import markdown as md
from octfluid.visualization.gallery import choose, picture_name

ALL = 'all'
ROLES = {
    'best': 'Of the scans with fluid, the one with the highest Dice.',
    'median': 'Of the scans with fluid, the one with the median Dice.',
    'worst': 'Of the scans with fluid, the one with the lowest Dice.',
    'false': 'Of the scans without fluid, the one in which most is marked.',
}


def group_of(name: str) -> str:
    """Return the group that a scan's name begins with: what stands before its last underscore, ``Cirrus`` of ``Cirrus_3``."""
    return name.rpartition('_')[0] or name


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the scores of each test by group.

    Args:
        runs: Unique runs on external data; those with overrides that change a result are left out.

    Returns:
        One mapping a run, by label: ``config``, ``variant``, ``seed``, ``checkpoint_sha256``, ``groups``, ``conditions`` and
        ``pictures``: path below the results folder by role (see `visualization.gallery.choose`), of those that lie beside
        the record.
        ``groups`` are mappings of ``group`` (the last is `ALL`), ``scans``, ``with_fluid``, ``dice`` (pooled; None without
        fluid, true or predicted), ``precision``, ``recall``, ``empty`` (scans without fluid), ``marked`` (those of them in
        which fluid is marked) and ``false_share`` (the share of their pixels that is).
    """
    found = []
    for run in sorted((run for run in runs if not run.changed), key=lambda run: run.label):
        images = run.record['images']
        names = sorted({group_of(image['name']) for image in images})
        groups = [_group(name, [image for image in images if group_of(image['name']) == name]) for name in names]
        record = {key: run.record[key] for key in ('config', 'variant', 'seed', 'checkpoint_sha256')}
        found.append(
            {
                'label': run.label,
                **record,
                'groups': [*groups, _group(ALL, images)],
                'pictures': _pictures(run),
                'conditions': conditions_of([run]),
            }
        )
    return found


def _pictures(run: Run) -> dict[str, str]:
    stem = PurePosixPath(run.label)
    names = {role: picture_name(stem.stem, name) for role, name in choose(run.record['images']).items()}
    return {role: f'records/{stem.with_name(name)}' for role, name in names.items() if os.path.isfile(run.path.parent / name)}


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, DECIMALS) if whole else None


def _group(name: str, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    empty = [image for image in images if not image['tp'] + image['fn']]
    tp, fp, fn = (sum(image[key] for image in images) for key in ('tp', 'fp', 'fn'))
    dice = pooled_metrics(images)['Dice.fluid']
    return {
        'group': name,
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
    header = ['group', 'scans', 'with fluid', 'fluid Dice %', 'precision %', 'recall %', 'scans without fluid, marked']
    for test in tests:
        variant = f', {test["variant"]}' if test['variant'] else ''
        text += f'## `{test["config"]}`{variant}, weights {test["checkpoint_sha256"][:8]}\n\n'
        text += md.table([*header, 'false share of their pixels %'], map(_line, test['groups'])) + '\n'
        text += md.bullets(md.conditions_notes(test['conditions'])) + '\n'
        text += ''.join(f'![{ROLES[role]}]({path})\n\n*{ROLES[role]}*\n\n' for role, path in test['pictures'].items())
    return text + '## How to read it\n\n' + md.bullets([
        'A group is what precedes the last underscore of a name, such as the device. What the network was trained on is in '
        'the config: Duke DME (Heidelberg Spectralis) for `configs/external/compact.py`.',
        'Scores are pooled over the pixels of all scans of a group; a dash where no scan holds fluid. With so few scans there '
        'are no intervals: one scan can turn a figure.',
        'What to make of it: [../recipe.md](../recipe.md).',
    ])  # fmt: skip


def _line(group: Mapping[str, Any]) -> list[str]:
    scores = ('dice', 'precision', 'recall') if group['with_fluid'] else ()
    return [
        group['group'], str(group['scans']), str(group['with_fluid']),
        *([md.percent(group[name]) for name in scores] or ['-'] * 3),
        f'{group["marked"]} of {group["empty"]}' if group['empty'] else '-',
        md.percent(group['false_share']),
    ]  # fmt: skip
