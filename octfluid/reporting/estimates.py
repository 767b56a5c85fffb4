"""Scores with intervals over patients and seeds, and paired differences between configurations on the same images."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from octfluid.datasets.splits import is_by_subject
from octfluid.metrics import bootstrap, measures
from octfluid.metrics.measures import Scored
from octfluid.records.provenance import SCRATCH, file_label
from octfluid.records.runs import Run, check_averageable, conditions_of, unique_runs
from octfluid.reporting import folds, table2
from octfluid.reporting.published import grouped, read_published
from octfluid.utils.errors import InputError

FOREGROUND = 'fluid'
"""Groups are made for this class alone; vessels have a table of their own."""

PAPER, LEAKAGE = 'paper', 'leakage'
AREAS = ('false_positive_px', 'area_bias_px', 'area_limit_low_px', 'area_limit_high_px')
"""Measures that are areas in pixels, which pages show in square millimetres too."""
CARD = ('dice', 'mdice', 'miou', 'image_dice')
"""Measures that a model's card gives."""


class Key(NamedTuple):
    """What the runs of a group share."""

    config: str
    kind: str
    protocol: str
    init: str
    iterations: int
    variant: str  # of the record, and the overrides of the run


def key_of(run: Run, protocol: str) -> Key:
    """Return what a run shares with the others of its group."""
    record, init = run.record, file_label(run.source, run.source_iterations)
    variant = ', '.join(filter(None, (record['variant'], run.overrides)))
    return Key(record['config'], record['kind'], protocol, init, record['iterations'], variant)


@dataclass(frozen=True, eq=False)
class Group:
    """The runs of one configuration under one protocol: all its folds and seeds."""

    key: Key
    runs: Sequence[Run]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the first image's ground truth; groups of other sizes are not compared."""
        image = self.runs[0].record['images'][0]
        return image['height'], image['width']

    @property
    def row(self) -> int | None:
        """The row of table 2 that the runs belong to."""
        return table2.row_number(self.runs[0].config_stem) if self.runs[0].table == 'table2' else None

    @property
    def title(self) -> str:
        """The row of table 2 or the config's name, with the initial weights."""
        path, stem = PurePosixPath(self.key.config).with_suffix(''), self.runs[0].config_stem
        name = f'row {self.row}' if self.row else stem if self.runs[0].table == 'ablations' else str(path)
        return f'{name.removeprefix("configs/")} ({self.key.init}{", " + self.key.variant if self.key.variant else ""})'

    @cached_property
    def pooled(self) -> dict[int, folds.Pooled]:
        """The pooled folds of each seed, ascending; InputError if runs that would be pooled or averaged do not fit together."""
        for members in grouped(self.runs, lambda run: run.record['split']).values():
            check_averageable(members)
        return {seed: folds.pool(members) for seed, members in grouped(self.runs, lambda run: run.record['seed']).items()}

    @cached_property
    def missing(self) -> list[str]:
        """The names of folds without a run, with the seed where only some seeds lack it."""
        lacking = {name for fold in self.pooled.values() for name in fold.missing}
        of = {name: [str(seed) for seed, fold in self.pooled.items() if name in fold.missing] for name in sorted(lacking)}
        return [name + (f' (seed {", ".join(of[name])})' if len(of[name]) < len(self.pooled) else '') for name in of]

    def scored(self, names: set[str] | None = None) -> Scored | None:
        """Return the images that every seed has scored, only those of ``names`` if given; None if no image is left."""
        common = set.intersection(*({image['name'] for image in fold.images} for fold in self.pooled.values()))
        common = common if names is None else common & names
        by_seed = {seed: [one for one in fold.images if one['name'] in common] for seed, fold in self.pooled.items()}
        return measures.scored(by_seed) if common else None


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Return the groups in the order of their names; runs on vessels, and rows of a table with overrides, are in no group."""
    kept = [run for run in runs if (not run.changed or run.table == 'recipes') and run.foreground == FOREGROUND]
    return [Group(*item) for item in grouped(kept, lambda run: key_of(run, folds.protocol_of(run.record['split']))).items()]


def shared_subjects(protocol: str, variant: str, iterations: int, scored: Collection[tuple[Any, str]] = ()) -> bool | None:
    """Return whether patients of the scored images have other images in the training; None if the records do not say.

    Weights trained for 0 iterations on fluid saw no such scan; ``protocol`` is from `octfluid.reporting.folds.protocol_of`.
    ``scored`` are patient and split of the images: one fold trains on what the others score.
    """
    if folds.TRAINED_ON in variant:
        return None
    if iterations == 0 or is_by_subject(protocol):
        return False
    patients = {patient for patient, _ in scored}
    if protocol == folds.FOLDS and patients and None not in patients:
        return len(patients) < len(set(scored))
    return True if protocol == PAPER else None


def build(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Score every group.

    Returns:
        One mapping a group: ``key``, ``table``, the fields of `Key`, ``seeds``, ``foreground``, ``images``, ``with_fluid``,
        ``subjects``, ``size`` ([height, width] in pixels, None if they differ), ``pixel_mm2``, ``missing`` (folds),
        ``shared_subjects``, ``devices``, ``precisions``, ``measures`` (see `octfluid.metrics.bootstrap.estimates`; None when a
        fold is missing), ``per_subject``, ``per_image``, ``bland_altman`` (None when a fold is missing) and ``records``.

    Raises:
        InputError: Runs that would be pooled or averaged differ in config, initial weights or scored files, or overlap.
    """
    return [_scores(group) for group in groups_of(runs)]


def _scores(group: Group) -> dict[str, Any]:
    key, images = group.key, group.scored()
    scored = {(image['subject'], run.record['split']) for run in group.runs for image in run.record['images']}
    complete = images is not None and not group.missing
    return {
        'key': ' '.join(str(part) for part in key if part != ''),
        'table': group.runs[0].table,
        **key._asdict(),
        'seeds': list(group.pooled),
        'foreground': FOREGROUND,
        **_extent(images),
        'missing': group.missing,
        'shared_subjects': shared_subjects(key.protocol, key.variant, key.iterations, scored),
        **conditions_of(group.runs),
        'measures': bootstrap.estimates(images) if complete else None,
        'per_subject': measures.per_subject(images) if images else [],
        'per_image': measures.per_image(images) if images else [],
        'bland_altman': measures.bland_altman(images) if complete else None,
        'records': sorted(run.label for run in group.runs),
    }


def _extent(images: Scored | None) -> dict[str, Any]:
    """Return how many images and subjects were scored, and how large they are."""
    rows = images.rows[0] if images else ()
    sizes = {(row['height'], row['width']) for row in rows}
    size = sizes.pop() if len(sizes) == 1 else None
    return {
        'images': len(rows),
        'with_fluid': sum(1 for row in rows if row['tp'] + row['fn']),
        'subjects': len(set(images.subjects)) if images else 0,
        'size': list(size) if size else None,
        'pixel_mm2': measures.pixel_mm2(images.names, *size) if size else None,
    }


def not_used(runs: Sequence[Run]) -> list[list[str]]:
    """Return label and reason of the runs on fluid that are in no group, by label."""
    left_out = [run for run in runs if run.changed and run.table != 'recipes' and run.foreground == FOREGROUND]
    return sorted([run.label, 'overrides ' + ', '.join(run.changed)] for run in left_out)


def scores_of(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return the scores for a model's card: of networks of the same config, each scored on what it was not trained on.

    Left out are runs without images, those on inner splits, and tests of weights that may have seen the scored scans.

    Returns:
        One mapping for each group with all its folds: ``config``, ``protocol``, ``variant``, ``iterations``, ``seeds`` (their
        number), ``images``, ``subjects``, ``size``, ``patients_seen`` (whether the scored patients have other scans in the
        training), and ``measures``: ``value`` and ``interval`` (fractions) of each of `CARD`.

    Raises:
        InputError: There is no such group.
    """
    kept = [
        run for run in runs
        if run.record['images'] and not folds.is_inner(run) and not run.changed
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
    groups = groups_of([run for run in runs if not run.changed])
    pairs = (*_leakage(groups), *_conclusions(groups), *_against_row10(groups))
    found = [item for pair in pairs if (item := _compared(*pair))]
    for family in {item['family'] for item in found}:
        members = [item for item in found if item['family'] == family]
        for item, corrected in zip(members, bootstrap.holm([item['p'] for item in members]), strict=True):
            item['p_holm'] = corrected
    return found


def _compared(family: str, title: str, *sides: Group) -> dict[str, Any] | None:
    """Compare arm and reference on the images that both have scored; None without one, or (but for leakage) without a fold."""
    missing, scored = [name for side in sides for name in side.missing], [side.scored() for side in sides]
    names = set.intersection(*(set(images.names) if images else set() for images in scored))
    if (missing and family != LEAKAGE) or not names:
        return None
    across = sides[0].key.protocol != sides[1].key.protocol
    record = sides[0].runs[0].record
    share = f'{len(names)} of the {len(record["images"])} images of split {record["split"]}'
    arm, reference = (side.title + (f', {side.key.protocol}' if across else '') for side in sides)
    return {
        'family': family,
        'title': title,
        'arm': arm,
        'reference': reference,
        'measure': 'dice',
        'protocol': sides[0].key.protocol,
        'note': f'on {share}; missing: {", ".join(missing)}' if missing else '',
        **bootstrap.paired(*(side.scored(names) for side in sides)),
        'p_holm': None,
    }


def _leakage(groups: Sequence[Group]) -> Iterator[tuple]:
    """Pair training on the paper's split with leaving one subject out, both scored on the paper's images."""
    by_key = {group.key: group for group in groups}
    for key, group in by_key.items():
        by_patient = by_key.get(key._replace(protocol=folds.LEAVE_ONE_OUT))
        if key.protocol == PAPER and by_patient:
            title = f'{group.title}: patients in the training minus patients left out'
            yield LEAKAGE, title, group, by_patient


def _conclusions(groups: Sequence[Group]) -> Iterator[tuple]:
    """Pair the rows of table 2 and the ablations of the paper's conclusions, trained for the iterations of their configs."""
    iterations = {row['row']: row['iterations'] for row in table2.paper_rows()}
    sides = {}
    for group in groups:
        run, key = group.runs[0], group.key
        whole = run.table == 'ablations' or (group.row in iterations and key.iterations == iterations[group.row])
        if whole and (key.kind, key.protocol, key.variant) == ('train', PAPER, ''):
            sides.setdefault((run.start, str(group.row) if group.row else run.config_stem), group)
    for start in sorted({start for start, _ in sides} - {SCRATCH}, key=lambda start: start.rank):
        for claim in read_published('paper_conclusions.csv'):
            arm = sides.get((start, claim['arm']))
            reference = sides.get((SCRATCH if claim['scratch'] else start, claim['reference']))
            if arm and reference:
                yield f'conclusions, {start.key}', claim['text'], arm, reference


def _against_row10(groups: Sequence[Group]) -> Iterator[tuple]:
    """Pair every recipe with row 10 from its longest source training, under one protocol and on the same ground truth."""
    plain = [group for group in groups if (group.key.kind, group.key.variant) == ('train', '')]
    for group in (group for group in plain if group.runs[0].table == 'recipes'):
        same = (10, group.key.protocol, group.size)
        rivals = [rival for rival in plain if (rival.row, rival.key.protocol, rival.size) == same]
        if rivals:
            reference = min(rivals, key=lambda rival: rival.runs[0].start.rank)
            yield f'against row 10, {group.key.protocol}', f'{group.title} minus {reference.title}', group, reference
