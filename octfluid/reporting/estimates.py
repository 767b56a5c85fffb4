"""Scores of each configuration, its folds pooled, with intervals over patients and seeds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from octfluid.datasets.splits import is_by_subject
from octfluid.metrics import bootstrap, summary
from octfluid.metrics.summary import Scored
from octfluid.records.provenance import file_label
from octfluid.records.runs import Run, check_averageable, conditions_of, grouped
from octfluid.reporting import folds, table2

FOREGROUND = 'fluid'
"""Groups are made for this class alone; vessels have a table of their own."""

AREAS = ('false_positive_px', 'area_bias_px', 'area_limit_low_px', 'area_limit_high_px')
"""Measures that are areas in pixels, which pages show in square millimetres too."""


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
        return summary.scored(by_seed) if common else None


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """Return the groups in the order of their names; runs on vessels, and rows of a table with overrides, are in no group."""
    kept = [run for run in runs if (not run.changed or run.table == 'recipes') and run.foreground == FOREGROUND]
    return [Group(*item) for item in grouped(kept, lambda run: key_of(run, folds.protocol_of(run.record['split']))).items()]


def shared_subjects(protocol: str, variant: str, iterations: int, scored: Collection[tuple[Any, str]] = ()) -> bool | None:
    """Return whether patients of the scored images have other images in the training; None if unknown.

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
    return True if protocol == 'paper' else None


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
        'per_subject': summary.per_subject(images) if images else [],
        'per_image': summary.per_image(images) if images else [],
        'bland_altman': summary.bland_altman(images) if complete else None,
        'records': sorted(run.label for run in group.runs),
    }


def _extent(images: Scored | None) -> dict[str, Any]:
    rows = images.rows[0] if images else ()
    sizes = {(row['height'], row['width']) for row in rows}
    size = sizes.pop() if len(sizes) == 1 else None
    return {
        'images': len(rows),
        'with_fluid': sum(1 for row in rows if row['tp'] + row['fn']),
        'subjects': len(set(images.subjects)) if images else 0,
        'size': list(size) if size else None,
        'pixel_mm2': summary.pixel_mm2(images.names, *size) if size else None,
    }
