"""Scores with intervals over patients and seeds, and paired differences between configurations on the same images."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from octfluid.metrics import bootstrap, measures
from octfluid.metrics.measures import MEASURES, Scored
from octfluid.records.provenance import SCRATCH, Start, file_label
from octfluid.records.runs import Run, check_averageable, conditions_of, unique_runs
from octfluid.reporting import folds, table2
from octfluid.reporting.formats import estimate, mark, p_value, points_interval
from octfluid.reporting.published import read_published
from octfluid.utils.errors import InputError

FOREGROUND = 'fluid'
"""Groups are made for this class alone; vessels have a table of their own."""

PAPER, LEAKAGE = 'paper', 'leakage'
HEADLINE = ('dice', 'miou', 'mdice', 'image_dice', 'subject_dice')
AREAS = ('false_positive_px', 'area_bias_px', 'area_limit_low_px', 'area_limit_high_px')
"""Measures that are areas in pixels, which pages show in square millimetres too."""
CARD = ('dice', 'mdice', 'miou', 'image_dice')
"""Measures that a model's card gives."""


class Group(NamedTuple):
    """The runs of one configuration under one protocol: all its folds and seeds."""

    config: str
    kind: str
    protocol: str
    init: str
    iterations: int
    variant: str
    runs: tuple[Run, ...]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the first image's ground truth; groups of other sizes are not compared."""
        image = self.runs[0].record['images'][0]
        return image['height'], image['width']

    @property
    def row(self) -> int | None:
        """The row of table 2 that the runs belong to."""
        return table2.row_number(PurePosixPath(self.config).stem) if self.runs[0].table == 'table2' else None

    @property
    def title(self) -> str:
        """The row of table 2 or the config's name, with the initial weights."""
        path = PurePosixPath(self.config).with_suffix('')
        name = f'row {self.row}' if self.row else path.name if self.runs[0].table == 'ablations' else str(path)
        return f'{name.removeprefix("configs/")} ({self.init}{", " + self.variant if self.variant else ""})'


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Return the groups in the order of their names; runs on vessels and runs with overrides are in no group."""
    groups: dict[tuple, list[Run]] = {}
    for run in runs:
        record = run.record
        if not run.changed and run.foreground == FOREGROUND:
            init, protocol = file_label(run.source, run.source_iterations), folds.protocol_of(record['split'])
            key = (record['config'], record['kind'], protocol, init, record['iterations'], record['variant'])
            groups.setdefault(key, []).append(run)
    return [Group(*key, tuple(members)) for key, members in sorted(groups.items())]


def pooled_by_seed(runs: Sequence[Run]) -> dict[int, folds.Pooled]:
    """Pool the folds of each seed of a group; returns pooled images by seed, ascending.

    Raises:
        InputError: Runs that would be pooled or averaged differ in config, initial weights or scored files, or overlap.
    """
    seeds = sorted({run.record['seed'] for run in runs})
    for split in {run.record['split'] for run in runs}:
        check_averageable([run for run in runs if run.record['split'] == split])
    return {seed: folds.pool([run for run in runs if run.record['seed'] == seed]) for seed in seeds}


def scored_images(pooled: Mapping[int, folds.Pooled], names: set[str] | None = None) -> Scored | None:
    """Return the images that every seed has scored, only those of ``names`` if given; None if no image is left."""
    common = set.intersection(*({image['name'] for image in fold.images} for fold in pooled.values()))
    common = common if names is None else common & names
    if not common:
        return None
    return measures.scored({seed: [image for image in fold.images if image['name'] in common] for seed, fold in pooled.items()})


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
    """Return whether patients of the scored images have other images in the training; None if the records do not say.

    Args:
        protocol: From `octfluid.reporting.folds.protocol_of`.
        variant: Of the record; a test of weights trained on another split says so in it.
        iterations: Of the training on fluid; 0 for weights that saw no such scan.
    """
    if folds.TRAINED_ON in variant:
        return None
    if iterations == 0 or folds.is_by_subject(protocol):
        return False
    return True if protocol == PAPER else None


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Score every group.

    Returns:
        One mapping a group: ``key``, ``table``, ``config``, ``kind``, ``protocol``, ``init``, ``iterations``, ``variant``,
        ``seeds``, ``foreground``, ``images``, ``with_fluid``, ``subjects``, ``size`` ([height, width] in pixels, None if they
        differ), ``pixel_mm2``, ``missing`` (folds), ``shared_subjects``, ``devices``, ``precisions``, ``measures`` (see
        `octfluid.metrics.bootstrap.estimates`; None when a fold is missing), ``per_subject``, ``per_image``,
        ``bland_altman`` (None when a fold is missing) and ``records`` (labels).

    Raises:
        InputError: As in `pooled_by_seed`.
    """
    return [_scores(group) for group in groups_of(runs)]


def _scores(group: Group) -> dict[str, Any]:
    pooled = pooled_by_seed(group.runs)
    missing, images = missing_folds(pooled), scored_images(pooled)
    complete = images is not None and not missing
    named = group._asdict()
    named.pop('runs')
    return {
        'key': ' '.join(str(part) for part in group[:-1] if part != ''),
        'table': group.runs[0].table,
        **named,
        'seeds': list(pooled),
        'foreground': FOREGROUND,
        **_extent(images),
        'missing': missing,
        'shared_subjects': shared_subjects(group.protocol, group.variant, group.iterations),
        **conditions_of(group.runs),
        'measures': bootstrap.estimates(images) if complete else None,
        'per_subject': measures.per_subject(images) if images else [],
        'per_image': measures.per_image(images) if images else [],
        'bland_altman': measures.bland_altman(images) if complete else None,
        'records': sorted(run.label for run in group.runs),
    }


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


def not_used(runs: Sequence[Run]) -> list[list[str]]:
    """Return label and reason of the runs on fluid that are in no group, by label."""
    left_out = [run for run in runs if run.changed and run.foreground == FOREGROUND]
    return sorted([run.label, 'overrides ' + ', '.join(run.changed)] for run in left_out)


def scores_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the scores for a model's card: of networks of the same config, each scored on what it was not trained on.

    Args:
        runs: In any order. Left out are those without images, those on inner splits, and tests of weights that may have seen
            the scored scans.

    Returns:
        One mapping for each group with all its folds: ``config``, ``protocol``, ``variant``, ``iterations``, ``seeds`` (their
        number), ``images``, ``subjects``, ``size``, ``patients_seen`` (whether the scored patients have other scans in the
        training), and ``measures``: ``value`` and ``interval`` (fractions) of each of `CARD`.

    Raises:
        InputError: There is no such group.
    """
    kept = [
        run for run in runs
        if run.record['images'] and not folds.is_inner(run)
        and folds.TRAINED_ON not in run.record['variant'] and run.record['iterations'] > 0
    ]  # fmt: skip
    groups = [group for group in build(unique_runs(kept)[0]) if group['measures']]
    if not groups:
        raise InputError('records: no complete protocol among them; expected the records of all folds of one')
    same = ('config', 'protocol', 'variant', 'iterations', 'images', 'subjects', 'size')
    return [
        {
            **{key: group[key] for key in same},
            'seeds': len(group['seeds']),
            'patients_seen': group['shared_subjects'],
            'measures': {name: {key: group['measures'][name][key] for key in ('value', 'interval')} for name in CARD},
        }
        for group in groups
    ]


def compare(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Compare every pair of groups that a conclusion of the paper, leakage or the recipes ask for.

    Returns:
        One mapping a comparison: ``family``, ``title``, ``arm``, ``reference``, ``measure``, ``protocol``, ``note``, and the
        output of `octfluid.metrics.bootstrap.paired` with ``p_holm``, which is corrected over the family.

    Raises:
        InputError: Runs that would be pooled, averaged or compared do not fit together.
    """
    groups = groups_of(runs)
    found = [item for item in (*_leakage(groups), *_conclusions(groups), *_against_row10(groups)) if item]
    for family in {item['family'] for item in found}:
        members = [item for item in found if item['family'] == family]
        for item, corrected in zip(members, bootstrap.holm([item['p'] for item in members]), strict=True):
            item['p_holm'] = corrected
    return found


def _compared(family: str, title: str, arm: Group, reference: Group, partly: bool = False) -> dict[str, Any] | None:
    """Compare two groups on the images that both have scored.

    Returns:
        None if no image is left or, unless ``partly``, a fold is missing.
    """
    sides = [pooled_by_seed(group.runs) for group in (arm, reference)]
    missing = [name for side in sides for name in missing_folds(side)]
    scored = [scored_images(side) for side in sides]
    if (missing and not partly) or None in scored:
        return None
    names = set(scored[0].names) & set(scored[1].names)
    if not names:
        return None
    across = arm.protocol != reference.protocol
    record = arm.runs[0].record
    share = f'{len(names)} of the {len(record["images"])} images of split {record["split"]}'
    return {
        'family': family,
        'title': title,
        'arm': arm.title + (f', {arm.protocol}' if across else ''),
        'reference': reference.title + (f', {reference.protocol}' if across else ''),
        'measure': 'dice',
        'protocol': arm.protocol,
        'note': f'on {share}; missing: {", ".join(missing)}' if missing else '',
        **bootstrap.paired(*(scored_images(side, names) for side in sides), measure='dice'),
        'p_holm': None,
    }


def _leakage(groups: Sequence[Group]) -> list[dict[str, Any] | None]:
    """Compare training on the paper's split with leaving one subject out, both scored on the paper's images."""
    by_key = {group._replace(runs=()): group for group in groups}
    found = []
    for group in groups:
        by_patient = by_key.get(group._replace(protocol=folds.LEAVE_ONE_OUT, runs=()))
        if group.protocol == PAPER and by_patient:
            title = f'{group.title}: patients in the training minus patients left out'
            found.append(_compared(LEAKAGE, title, group, by_patient, partly=True))
    return found


def _conclusions(groups: Sequence[Group]) -> list[dict[str, Any] | None]:
    trainings = [group for group in groups if (group.kind, group.protocol, group.variant) == ('train', PAPER, '')]
    starts = sorted({group.runs[0].start for group in trainings} - {SCRATCH}, key=lambda start: start.rank)
    found = []
    for start in starts:
        for claim in read_published('paper_conclusions.csv'):
            arm = _side(claim['arm'], start, trainings)
            reference = _side(claim['reference'], SCRATCH if claim['scratch'] else start, trainings)
            if arm and reference:
                found.append(_compared(family_of(start.key), claim['text'], arm, reference))
    return found


def family_of(start: str) -> str:
    """Return the name of the family of the paper's conclusions from the weights with this `Start.key`."""
    return f'conclusions, {start}'


def _side(side: str, start: Start, trainings: Sequence[Group]) -> Group | None:
    """Return the group of a row of table 2 or of an ablation, trained for the iterations of its config."""
    iterations = {str(row['row']): row['iterations'] for row in table2.paper_rows()}
    for group in trainings:
        table = group.runs[0].table
        if table == 'table2':
            same = str(group.row) == side and group.iterations == iterations.get(side)
        else:
            same = table == 'ablations' and PurePosixPath(group.config).stem == side
        if same and group.runs[0].start == start:
            return group
    return None


def _against_row10(groups: Sequence[Group]) -> list[dict[str, Any] | None]:
    """Compare every recipe with row 10 from its longest source training, under one protocol and on the same ground truth."""
    found = []
    for group in groups:
        if group.runs[0].table != 'recipes' or group.kind != 'train' or group.variant:
            continue
        rivals = [
            rival
            for rival in groups
            if (rival.kind, rival.variant, rival.protocol, rival.row) == ('train', '', group.protocol, 10)
            and rival.size == group.size
        ]
        if rivals:
            reference = min(rivals, key=lambda rival: rival.runs[0].start.rank)
            title = f'{group.title} minus {reference.title}'
            found.append(_compared(f'against row 10, {group.protocol}', title, group, reference))
    return found


def withheld(group: Mapping[str, Any]) -> str:
    """Return which folds a group lacks."""
    if folds.UNKNOWN_FOLDS in group['missing']:
        return 'withheld: the folds of other data than the Duke scans are not known here; tools/sweep.py pools them'
    return f'withheld; no complete run of {", ".join(group["missing"])}'


def headline_table(groups: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the main measures with intervals, one row a group."""
    header = ['config', 'protocol', 'initial weights', 'iterations', 'seeds', 'images', 'subjects']
    header += [f'{MEASURES[name].title} %' for name in HEADLINE]
    rows = []
    for group in groups:
        scores = [withheld(group), *['-'] * (len(HEADLINE) - 1)]
        if group['measures']:
            scores = [estimate(group['measures'][name], '%') for name in HEADLINE]
        protocol = group['protocol'] + (' (patients seen in training)' if group['shared_subjects'] else '')
        if folds.TRAINED_ON in group['variant']:
            protocol = f'{group["protocol"]} (trained on other lists: these very scans may have been seen)'
        rows.append([
            ', '.join(part for part in (f'`{group["config"]}`', group['kind'], group['variant']) if part not in ('train', '')),
            protocol,
            group['init'],
            str(group['iterations']),
            str(len(group['seeds'])) + mark(group),
            f'{group["images"]} ({group["with_fluid"]} with fluid)',
            str(group['subjects']),
            *scores,
        ])  # fmt: skip
    return header, rows


def measures_table(group: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of every measure of one group; areas in nominal square millimetres too for Duke scans."""
    rows = []
    for name, measure in MEASURES.items():
        found, scale = group['measures'][name], group['pixel_mm2']
        cell = estimate(found, measure.unit)
        if name in AREAS and scale and found['value'] is not None:
            cell += f' ({found["value"] * scale:.4f} mm², nominal)'
        unit = f' ({measure.unit})' if measure.unit else ''
        rows.append([measure.title + unit, cell, str(found['images'])])
    return ['measure', 'value [95 % interval]', 'images'], rows


def comparisons_table(items: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of comparisons: the difference in points with its interval, and p-values."""
    header = ['difference in fluid Dice', 'points [95 % interval]', 'p', 'p, Holm', 'images', 'subjects', 'seeds', 'note']
    rows = [
        [
            item['title'], points_interval(item), p_value(item['p']), p_value(item['p_holm']), str(item['images']),
            str(item['subjects']), f'{item["seeds"][0]} and {item["seeds"][1]}', item['note'] or '-',
        ]
        for item in items
    ]  # fmt: skip
    return header, rows
