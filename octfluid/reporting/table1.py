"""The paper's table 1: networks trained on vessels, applied unchanged to B-scans."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics.confusion import pooled_metrics, predict_nothing
from octfluid.records.runs import (
    DECIMALS,
    Run,
    check_averageable,
    check_comparable,
    conditions_of,
    less_exact,
    weights_of,
)
from octfluid.records.starts import PENDING_START, Start, in_order
from octfluid.reporting import markdown as md
from octfluid.reporting.markdown import PENDING, percent
from octfluid.reporting.published import read_published

SPLITS = {'all': 'All graded scans', 'paper': "A subset: the validation scans of the paper's split"}


def mean_image_iou(images: Sequence[Mapping[str, Any]], only_with_foreground: bool = False) -> float | None:
    """Return the mean over images of the foreground's IoU, each image counting the same.

    TP / (TP + FP + FN) of every image, and 0 for an image whose union is empty: an image without foreground scores 0 whatever
    is predicted. This is the measure of the paper's table 1, there called mIoU.

    Args:
        images: Mappings with ``tp``, ``fp``, ``fn`` (pixels).
        only_with_foreground: Leave out images without a foreground pixel, which no prediction can score on.

    Returns:
        A fraction in [0, 1]; None without images.
    """
    counted = [image for image in images if image['tp'] + image['fn'] or not only_with_foreground]
    unions = [image['tp'] + image['fp'] + image['fn'] for image in counted]
    scores = [image['tp'] / union if union else 0.0 for image, union in zip(counted, unions, strict=True)]
    return statistics.fmean(scores) if scores else None


def scores_of(images: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return every score of the table.

    Args:
        images: Mappings with ``tp``, ``fp``, ``fn``, ``tn`` (pixels), where positive means fluid.

    Returns:
        Fractions rounded to `DECIMALS`: ``measure`` (the paper's), ``with_fluid`` (the same mean over the images that hold
        fluid), ``predicted`` (share of images with any pixel called fluid), and the output of `pooled_metrics`.
    """
    scores = {
        'measure': mean_image_iou(images),
        'with_fluid': mean_image_iou(images, only_with_foreground=True),
        'predicted': statistics.fmean(image['tp'] + image['fp'] > 0 for image in images),
        **pooled_metrics(images),
    }
    return {name: None if value is None else round(value, DECIMALS) for name, value in scores.items()}


def paper_heads() -> dict[str, dict[str, Any]]:
    """Return the paper's lines by config stem: ``title`` of the head and ``measure`` (a fraction)."""
    return {
        line['head']: {'title': line['title'], 'measure': float(line['measure'])} for line in read_published('paper_table1.csv')
    }


def _why_not(run: Run) -> str | None:
    record = run.record
    if run.config_stem not in paper_heads():
        return 'its config is none of the three heads'
    if record['kind'] != 'test':
        return 'a training; the table takes tests'
    if record['split'] not in SPLITS:
        return f'split {record["split"]}; the table takes {" and ".join(SPLITS)}'
    if run.changed:
        return 'overrides ' + ', '.join(run.changed)
    # Scoring in 16 bits is no other experiment; the table says so beside the scores.
    other = record['variant'] not in ('', record['precision'])
    if run.source not in ('hrf-own', 'hrf-zoo') or record['iterations'] or other:
        return 'not the published vessel weights as they are; publish a checkpoint with tools/publish_checkpoint.py first'
    return None


def select(runs: Sequence[Run]) -> tuple[list[Run], list[list[str]]]:
    """Choose the runs that count; of several tests of one file of weights in one split, the most exact.

    Args:
        runs: Unique runs of configs in ``configs/table1``.

    Returns:
        (runs, label and reason of every other run).
    """
    used, not_used = [], []
    fitting = [run for run in runs if _why_not(run) is None]
    for run in runs:
        rivals = [other for other in fitting if _place(other) == _place(run)]
        if reason := _why_not(run) or less_exact(run, rivals):
            not_used.append([run.label, reason])
        else:
            used.append(run)
    return used, sorted(not_used)


def _place(run: Run) -> tuple[str, str]:
    return run.config_stem, run.record['split']


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect every number of the table.

    Args:
        runs: Unique runs of configs in ``configs/table1``.

    Returns:
        ``paper`` (see `paper_heads`), ``sections`` (a list, all scans before the subset, then by the weights' length:
        ``split``, ``start`` (`Start.key`), ``images`` and ``with_fluid`` (numbers of scans, None without runs), ``heads``
        (config stem -> a list with, for each file of weights, its ``sha256``, the scores and ``precision``), ``background``
        (scores of calling every pixel background, None without runs), ``weights``), ``devices``, ``precisions``,
        ``not_used``.

    Raises:
        InputError: Runs of one split were scored on different files, or weights have two tests.
    """
    used, not_used = select(runs)
    sections = []
    for split in SPLITS:
        members = [run for run in used if run.record['split'] == split]
        check_comparable(members)
        starts = in_order(run.start for run in members) if members else [PENDING_START] if split == 'all' else []
        for start in starts:
            section = _section_of(split, start, [run for run in members if run.start == start])
            if section['heads'] or split == 'all':
                sections.append(section)
    return {
        'paper': paper_heads(),
        'sections': sections,
        **conditions_of(used),
        'not_used': not_used,
    }


def _section_of(split: str, start: Start, runs: Sequence[Run]) -> dict[str, Any]:
    heads = {}
    for head in paper_heads():
        cell = [run for run in runs if run.config_stem == head]
        if cell:
            heads[head] = [_of_weights(cell, digest) for digest in sorted({run.init_sha256 for run in cell})]
    images = runs[0].record['images'] if runs else []
    return {
        'split': split,
        'start': start.key,
        'images': len(images) or None,
        'with_fluid': sum(image['tp'] + image['fn'] > 0 for image in images) if images else None,
        'heads': heads,
        'background': scores_of(predict_nothing(images)) if images else None,
        'weights': weights_of(runs),
    }


def _of_weights(cell: Sequence[Run], digest: str) -> dict[str, Any]:
    runs = [run for run in cell if run.init_sha256 == digest]
    check_averageable(runs)
    return {'sha256': digest, **scores_of(runs[0].record['images']), 'precision': runs[0].record['precision']}


_COLUMNS = {
    'with_fluid': 'mean IoU, scans with fluid',
    'IoU.fluid': 'fluid IoU',
    'Dice.fluid': 'fluid Dice',
    'IoU.background': 'background IoU',
    'Dice.background': 'background Dice',
    'mIoU': 'two-class mIoU',
    'mDice': 'two-class mDice',
    'predicted': 'scans with any fluid predicted',
}


def _measure(value: float | None) -> str:
    return '-' if value is None else f'{value:.4f}'


def _section(content: dict[str, Any], section: dict[str, Any]) -> str:
    header = ['head', "the paper's measure, paper", "the paper's measure, ours", *_COLUMNS.values(), 'scored in']
    lines = []
    for head, paper in content['paper'].items():
        # The paper's figure is that of all scans.
        published = _measure(paper['measure']) if section['split'] == 'all' else '-'
        found = section['heads'].get(head, [])
        for ours in found:
            name = paper['title'] + (f', `{ours["sha256"][:8]}`' if len(found) > 1 else '')
            cells = [_measure(ours['measure']), *(percent(ours[column]) for column in _COLUMNS), ours['precision']]
            lines.append([name, published, *cells])
        if not found:
            lines.append([paper['title'], published, *[PENDING] * (len(_COLUMNS) + 1), '-'])
    if background := section['background']:
        cells = [_measure(background['measure']), *(percent(background[name]) for name in _COLUMNS)]
        lines.append(['background everywhere', '-', *cells, '-'])
    start = Start.of(section['start']).title
    scans = f' ({section["images"]}, {section["with_fluid"]} with fluid)' if section['images'] else ''
    title = f'## {SPLITS[section["split"]]}{scans}: {start[0].lower()}{start[1:]}\n\n'
    return title + md.weights_line(section['weights']) + md.table(header, lines) + '\n'


def render(content: dict[str, Any]) -> str:
    """Return ``table1.md`` from the output of `build`."""
    text = f'# Table 1: vessel networks on B-scans, unchanged\n\n{md.WRITTEN_BY}\n\n'
    text += ''.join(_section(content, section) for section in content['sections'])
    notes = [
        "The paper's measure, a fraction as it prints it: the mean over images of the fluid's IoU, 0 for an image whose "
        'union is empty; an image without fluid scores 0 whatever is predicted. The paper calls it mIoU. It is not the mean '
        'over the two classes that its table 2 calls mIoU, and the two cannot be compared: calling everything background '
        'scores 0 in the one and nearly half in the other.',
        'All other scores are percent. "mean IoU, scans with fluid" is the same mean over the scans that hold fluid; IoU and '
        'Dice per class are pooled over all pixels of all scans, and the two-class means are of those.',
        'What the network calls vessel is scored as fluid. Scans of 256x256 go through the test pipeline for HRF photographs, '
        'enlarged to 2336x2336; predictions are brought back and scored at 256x256.',
        f'"{PENDING}" means that nothing is recorded. "background everywhere" is computed from the counts in the records.',
        'Several files of weights of one head, with the same length of training, have a line each, with the first digits of '
        'their SHA-256.',
        '"scored in" is the arithmetic of the network\'s forward passes; counts are exact.',
    ]
    text += '## How to read it\n\n' + md.bullets(notes + md.conditions_notes(content))
    return text + md.not_used_section(content['not_used'])
