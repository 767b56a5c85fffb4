"""Our own recipes: scores with intervals, what others report, what each ingredient is worth, scans of other devices."""

import os
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from octfluid.datasets.splits import INNER_FOLDS
from octfluid.metrics import bootstrap, summary
from octfluid.metrics.confusion import pooled_metrics, rounded
from octfluid.metrics.summary import Scored
from octfluid.records.runs import Run, check_averageable, conditions_of, grouped, summarise
from octfluid.reporting import folds
from octfluid.reporting.estimates import key_of
from octfluid.reporting.published import read_published
from octfluid.visualization.gallery import choose, picture_name

FOLDER = 'configs/duke_dme/'
PROTOCOLS = {
    'paper': "The paper's split: 22 scans of nine patients, all of whom have other scans in the training",
    'train6-10_test1-5': 'Trained on patients 6 to 10, scored on 1 to 5',
    'train1-5_test6-10': 'Trained on patients 1 to 5, scored on 6 to 10',
    'leave-one-subject-out': 'Each patient left out in turn',
}
INNER_SPLITS = tuple(f'paper-inner{fold}' for fold in range(1, INNER_FOLDS + 1))
"""The ingredients were compared inside the training set of the paper's split."""
_STEP_MEASURES = ('dice', 'precision', 'recall')
PLOTTED = 4
"""Configurations that the figures show."""
ALL = 'all'
RECIPE = f'{FOLDER}compact'
"""What the config of the shipped recipe begins with."""


def build(runs: Sequence[Run]) -> dict[str, Any]:
    """Collect the scores of runs whose config belongs to no table of the paper.

    Returns:
        ``groups``: one mapping for runs that agree in config, kind, split, initial weights, iterations, and variant with
        overrides, with the summary over their seeds; ``not_used``: none of these.

    Raises:
        InputError: Runs of one group differ in config content, initial weights or scored files.
    """
    rows = []
    for key, group in grouped(runs, lambda run: key_of(run, run.record['split'])).items():
        same = {'split' if name == 'protocol' else name: value for name, value in key._asdict().items()}
        labels = sorted(run.label for run in group)
        rows.append({**same, 'foreground': group[0].foreground, **summarise(group), 'records': labels})
    return {'groups': rows, 'not_used': []}


def build_steps(runs: Sequence[Run]) -> dict[str, Any]:
    """Pool the inner folds of each config and compare it with the one that it builds on.

    Returns:
        ``rows``: for each line of ``recipe_steps.csv`` its ``config``, ``against`` and ``what``, and ``missing`` (inner folds
        without a run). If no fold is missing also ``iterations``, ``seeds``, ``images``, ``subjects``, ``measures`` (``dice``,
        ``precision`` and ``recall`` of `octfluid.metrics.bootstrap.estimates`) and ``difference``: the output of
        `octfluid.metrics.bootstrap.paired` with ``p_holm``, None without a complete config to compare with. ``conditions``:
        of all runs used.

    Raises:
        InputError: Runs that would be averaged differ in config, weights or scored files.
    """
    lines = read_published('recipe_steps.csv')
    of = {line['config']: [run for run in runs if _is_step(run, line['config'])] for line in lines}
    pooled = {config: _pool_inner(members) for config, members in of.items()}
    rows = [_step(line, of[line['config']], pooled) for line in lines]
    compared = [row['difference'] for row in rows if row.get('difference')]
    for difference, corrected in zip(compared, bootstrap.holm([one['p'] for one in compared]), strict=True):
        difference['p_holm'] = corrected
    return {'rows': rows, 'conditions': conditions_of([run for config in pooled if pooled[config] for run in of[config]])}


def _is_step(run: Run, stem: str) -> bool:
    return (
        run.config_stem == stem
        and run.record['config'].startswith(FOLDER)
        and (run.record['kind'], run.record['variant']) == ('train', '')
        and (run.source == 'scratch') != stem.endswith('_hrf')
        and run.record['split'] in INNER_SPLITS
        and not run.changed
    )


def _pool_inner(runs: Sequence[Run]) -> Scored | None:
    for members in grouped(runs, lambda run: run.record['split']).values():
        check_averageable(members)
    by_seed = grouped(runs, lambda run: run.record['seed'])
    whole = {
        seed: [*chain(*(run.record['images'] for run in members))]
        for seed, members in by_seed.items() if len(members) == INNER_FOLDS
    }  # fmt: skip
    return summary.scored(whole) if whole else None


def _step(line: Mapping[str, str], runs: Sequence[Run], pooled: Mapping[str, Scored | None]) -> dict[str, Any]:
    ours, reference = pooled[line['config']], pooled.get(line['against'])
    if ours is None:
        found = {run.record['split'] for run in runs}
        return {**line, 'missing': [name for name in INNER_SPLITS if name not in found]}
    estimates = bootstrap.estimates(ours)
    return {
        **line,
        'missing': [],
        'iterations': runs[0].record['iterations'],
        'seeds': len(ours.seeds),
        'images': len(ours.names),
        'subjects': len(set(ours.subjects)),
        'measures': {name: estimates[name] for name in _STEP_MEASURES},
        'difference': bootstrap.paired(ours, reference) if reference else None,
    }


def build_external(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Score each test on scans of other devices by device, the part of a scan's name before its last underscore.

    Returns:
        One mapping a run, by label: ``label``, ``config``, ``variant``, ``seed``, ``checkpoint_sha256``, ``groups``,
        ``pictures`` (path below the results folder by role, of those next to the record) and ``conditions``.
        ``groups`` are mappings of ``group`` (the last is `ALL`), ``scans``, ``with_fluid``, ``dice`` (pooled; None without
        fluid, true or predicted), ``precision``, ``recall``, ``empty`` (scans without fluid), ``marked`` (those of them in
        which fluid is marked) and ``false_share`` (the share of their pixels that is).
    """
    found = []
    for run in sorted((run for run in runs if not run.changed), key=lambda run: run.label):
        images = run.record['images']
        devices: dict[str, list] = {}
        for image in images:
            devices.setdefault(image['name'].rpartition('_')[0] or image['name'], []).append(image)
        found.append({
            'label': run.label,
            **{key: run.record[key] for key in ('config', 'variant', 'seed', 'checkpoint_sha256')},
            'groups': [_device(name, members) for name, members in [*sorted(devices.items()), (ALL, images)]],
            'pictures': {role: path for role, (path, _) in pictures_of([run]).items()},
            'conditions': conditions_of([run]),
        })  # fmt: skip
    return found


def _device(name: str, images: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    empty = [image for image in images if not image['tp'] + image['fn']]
    tp, fp, fn = (sum(image[key] for image in images) for key in ('tp', 'fp', 'fn'))
    pixels = sum(image['height'] * image['width'] for image in empty)
    return {
        'group': name,
        'scans': len(images),
        'with_fluid': len(images) - len(empty),
        'dice': rounded(pooled_metrics(images)['Dice.fluid']),
        'precision': rounded(tp / (tp + fp)) if tp + fp else None,
        'recall': rounded(tp / (tp + fn)) if tp + fn else None,
        'empty': len(empty),
        'marked': sum(image['fp'] > 0 for image in empty),
        'false_share': rounded(sum(image['fp'] for image in empty) / pixels) if pixels else None,
    }


def pictures_of(runs: Sequence[Run]) -> dict[str, tuple[str, Any]]:
    """Return the pictures next to the records of the first seed: role (see `choose`) -> (path below the results, file)."""
    first = min((run.record['seed'] for run in runs), default=None)
    of = {image['name']: (image, run) for run in runs if run.record['seed'] == first for image in run.record['images']}
    found = {}
    for role, name in choose([image for image, _ in of.values()]).items():
        run = of[name][1]
        label = PurePosixPath(run.label)
        picture = picture_name(label.stem, name)
        if os.path.isfile(file := run.path.parent / picture):
            found[role] = (f'records/{label.with_name(picture)}', file)
    return found


def is_own(group: Mapping[str, Any]) -> bool:
    """Return whether a group of `estimates.build` is of our recipes, with weights that never saw the scored scans."""
    plain = folds.TRAINED_ON not in group['variant'] and '=' not in group['variant']  # as the config has it
    return group['config'].startswith(FOLDER) and plain and group['iterations'] > 0


def plotted(groups: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the groups that the figures show: of each protocol our complete training of `RECIPE`, else another.

    Only where the recipe was not run the pooled Dice decides: the best of several reported scores would flatter.
    """
    complete = [group for group in groups if is_own(group) and group['kind'] == 'train' and group['measures']]
    ranked = sorted(complete, key=lambda group: (RECIPE not in group['config'], -(group['measures']['dice']['value'] or 0)))
    return list({group['protocol']: group for group in reversed(ranked)}.values())[::-1][:PLOTTED]
