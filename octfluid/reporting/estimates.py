"""Scores with intervals over patients and seeds: one group of runs for each configuration and protocol, folds pooled."""

from collections.abc import Mapping, Sequence
from typing import Any

from octfluid.metrics import bootstrap as uncertainty
from octfluid.metrics import measures
from octfluid.metrics.measures import Scored
from octfluid.records.runs import Run, check_averageable, conditions_of
from octfluid.records.starts import file_label
from octfluid.reporting import folds

FOREGROUND = 'fluid'
"""Groups are made for this class alone; vessels have a page of their own."""

_KEY = ('config', 'kind', 'protocol', 'init', 'iterations', 'variant')


def not_used(runs: Sequence[Run]) -> list[list[str]]:
    """Return label and reason of the runs on fluid that are in no group, by label."""
    left_out = [run for run in runs if run.changed and run.foreground == FOREGROUND]
    return sorted([run.label, 'overrides ' + ', '.join(run.changed)] for run in left_out)


def group_runs(runs: Sequence[Run]) -> dict[tuple, list[Run]]:
    """Return the runs that count, by config, kind, protocol, initial weights, iterations and variant.

    Runs on vessels, and runs with overrides that change the result, are in no group.

    Args:
        runs: Unique runs of any table.

    Returns:
        Groups in the order of their keys; the folds of one protocol and all their seeds are one group.
    """
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        if run.changed or run.foreground != FOREGROUND:
            continue
        record = run.record
        initial = file_label(run.source, run.source_iterations)
        protocol = folds.protocol_of(record['split'])
        key = (record['config'], record['kind'], protocol, initial, record['iterations'], record['variant'])
        groups.setdefault(key, []).append(run)
    return dict(sorted(groups.items()))


def pooled_by_seed(runs: Sequence[Run]) -> dict[int, folds.Pooled]:
    """Pool the folds of each seed of a group.

    Returns:
        Pooled images by seed, ascending.

    Raises:
        InputError: Runs that would be pooled or averaged differ in config, initial weights or scored files, or overlap.
    """
    seeds = sorted({run.record['seed'] for run in runs})
    for split in {run.record['split'] for run in runs}:
        check_averageable([run for run in runs if run.record['split'] == split])
    return {seed: folds.pool([run for run in runs if run.record['seed'] == seed]) for seed in seeds}


def scored_images(pooled: Mapping[int, folds.Pooled], names: set[str] | None = None) -> Scored | None:
    """Return the images that every seed has scored.

    Args:
        pooled: Output of `pooled_by_seed`.
        names: Take no others than these; None takes all.

    Returns:
        The images for `octfluid.metrics.measures`; None when no image is left.
    """
    common = set.intersection(*({image['name'] for image in fold.images} for fold in pooled.values()))
    common = common if names is None else common & names
    if not common:
        return None
    return measures.scored({
        seed: [image for image in fold.images if image['name'] in common] for seed, fold in pooled.items()
    })  # fmt: skip


def missing_folds(pooled: Mapping[int, folds.Pooled]) -> list[str]:
    """Return the names of folds without a run, with the seed where only some seeds lack it."""
    lacking: dict[str, list[int]] = {}
    for seed, fold in pooled.items():
        for name in fold.missing:
            lacking.setdefault(name, []).append(seed)
    return [
        name if len(seeds) == len(pooled) else f'{name} (seed {", ".join(map(str, seeds))})'
        for name, seeds in sorted(lacking.items())
    ]


def shared_subjects(protocol: str, variant: str, iterations: int) -> bool | None:
    """Tell whether patients of the scored images have other images in the training.

    Args:
        protocol: From `octfluid.reporting.folds.protocol_of`.
        variant: Of the record; a test of weights trained on another split says so in it.
        iterations: Of the training on fluid; 0 for weights that saw no such scan.

    Returns:
        True or False where the protocol decides it, None where nothing tells.
    """
    if 'trained-on-' in variant:
        return None
    if iterations == 0:
        return False
    if protocol == 'paper':
        return True
    return False if folds.is_by_subject(protocol) else None


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Collect the scores of every group with their uncertainty.

    Args:
        runs: Unique runs of any table.

    Returns:
        One mapping a group: ``key``, ``table``, ``config``, ``kind``, ``protocol``, ``init``, ``iterations``, ``variant``,
        ``seeds``, ``foreground``, ``images``, ``with_fluid``, ``subjects``, ``size`` ([height, width] in pixels, None if they
        differ), ``pixel_mm2``, ``missing`` (folds), ``shared_subjects``, ``devices``, ``precisions``, ``measures`` (see
        `octfluid.metrics.bootstrap.estimates`; None when a fold is missing: the pooled figure is withheld),
        ``per_subject``, ``per_image``, ``bland_altman`` (None when withheld) and ``records`` (labels).

    Raises:
        InputError: As in `pooled_by_seed`.
    """
    return [_group(key, members) for key, members in group_runs(runs).items()]


def _group(key: tuple, runs: Sequence[Run]) -> dict[str, Any]:
    pooled = pooled_by_seed(runs)
    missing = missing_folds(pooled)
    images = scored_images(pooled)
    named = dict(zip(_KEY, key, strict=True))
    content = {
        'key': ' '.join(str(part) for part in key if part != ''),
        'table': runs[0].table,
        **named,
        'seeds': list(pooled),
        'foreground': FOREGROUND,
        **_extent(images),
        'missing': missing,
        'shared_subjects': shared_subjects(named['protocol'], named['variant'], named['iterations']),
        **conditions_of(runs),
        'measures': None,
        'per_subject': measures.per_subject(images) if images else [],
        'per_image': measures.per_image(images) if images else [],
        'bland_altman': None,
        'records': sorted(run.label for run in runs),
    }
    if images and not missing:
        content['measures'] = uncertainty.estimates(images)
        content['bland_altman'] = measures.bland_altman(images)
    return content


def _extent(images: Scored | None) -> dict[str, Any]:
    """Return how many images and subjects were scored, and how large they are."""
    if images is None:
        return {'images': 0, 'with_fluid': 0, 'subjects': 0, 'size': None, 'pixel_mm2': None}
    rows = images.rows[0]
    sizes = {(row['height'], row['width']) for row in rows}
    size = sizes.pop() if len(sizes) == 1 else None
    return {
        'images': len(rows),
        'with_fluid': sum(1 for row in rows if row['tp'] + row['fn']),
        'subjects': len(set(images.subjects)),
        'size': list(size) if size else None,
        'pixel_mm2': measures.pixel_mm2(images.names, *size) if size else None,
    }
