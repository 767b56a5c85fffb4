"""Pooling the folds of a protocol: each image is scored once, by a model that never saw its patient.

A record lists the scored images, not the training images. The name of the split gives these: ``subjectNN`` trains on all
subjects but NN, which `octfluid.datasets.integrity` checks before a training begins.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from octfluid.datasets import splits
from octfluid.datasets.splits import LEAVE_ONE_OUT, held_out_subjects, inner_parent, is_subject_split, paper_rows, subject_split
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.runs import Run
from octfluid.utils.errors import InputError

UNKNOWN_FOLDS = 'folds that are known for the Duke scans alone (tools/sweep.py pools those of other data)'
"""Stands in `Pooled.missing` where the folds of the data set are not known."""

TRAINED_ON = 'trained-on-'
"""Begins the part of a variant that names the training's split, in tests of weights trained on another one."""


FOLDS = 'folds'
"""The protocol of ``fold1``, ``fold2`` and so on, which divide the patients: `octfluid.datasets.prepare.folder`."""
_FOLD = re.compile(r'fold([1-9]\d*)')


def protocol_of(split: str) -> str:
    """Return ``leave-one-subject-out`` for ``subjectNN``, ``folds`` for ``foldN``, and every other split's own name."""
    return LEAVE_ONE_OUT if is_subject_split(split) else FOLDS if _FOLD.fullmatch(split) else split


def is_inner(run: Run) -> bool:
    """Return whether a run scored an inner split: for choosing settings, not for tables of scores."""
    return inner_parent(run.record['split']) is not None


class Pooled(NamedTuple):
    """All images of one protocol, scored by runs of one configuration and seed.

    Attributes:
        images: Elements of the records' ``images``, each image once, ascending by name.
        runs: The runs that the images come from, ascending by split.
        missing: Names of the folds without a run, or with a run that lacks images of its subject, such as ``subject04``.
            Unless this is empty no pooled figure may be shown.
    """

    images: tuple[Mapping[str, Any], ...]
    runs: tuple[Run, ...]
    missing: tuple[str, ...]

    @property
    def scores(self) -> dict[str, float | None] | None:
        """``mIoU``, ``mDice`` and the foreground's ``Dice`` over all pixels, as fractions; None if a fold is missing."""
        if self.missing:
            return None
        metrics = pooled_metrics(self.images)
        return {'mIoU': metrics['mIoU'], 'mDice': metrics['mDice'], 'Dice': metrics['Dice.fluid']}


@cache
def duke_subjects() -> dict[str, int]:
    """Return the subject of each of the 110 graded scans of the Duke DME data, by name."""
    return {row.scan.name: row.scan.subject for row in paper_rows()}


def fold_names(expected: Mapping[str, int | str]) -> tuple[str, ...]:
    """Return the names of the folds of leave-one-subject-out for images with these subjects, ascending."""
    return tuple(sorted({subject_split(subject) for subject in expected.values()}))


def pool(runs: Sequence[Run], expected: Mapping[str, int | str] | None = None) -> Pooled:
    """Pool the folds of a protocol.

    Leave-one-subject-out has a fold for each subject, and one's own data have `INNER_FOLDS` or more; every other protocol is
    one split, and so one run.

    Args:
        runs: At least one; of one configuration, one seed and one protocol.
        expected: Subject number by name of every image that must be scored. None: the 110 scans of the Duke list where all
            images have names of it; of other images the folds of leave-one-subject-out are unknown and count as missing.

    Raises:
        InputError: Runs that differ in more than their fold; two runs of one fold; an image scored in two folds, of a
            subject that its fold trains on, or not among the expected.
    """
    runs = sorted(runs, key=lambda run: (run.record['split'], run.label))
    _check_same(runs)
    used = [run for run in runs if _never_saw(run)]
    if expected is None and all(image['name'] in duke_subjects() for run in runs for image in run.record['images']):
        expected = duke_subjects()
    images: dict[str, tuple[Run, Mapping[str, Any]]] = {}
    for run in used:
        for image in run.record['images']:
            _check_subject(run, image, expected)
            other, _ = images.setdefault(image['name'], (run, image))
            if other is not run:
                raise InputError(f"{other.path} and {run.path} both score '{image['name']}'; remove one of them")
    missing: tuple[str, ...] = ()
    if is_subject_split(runs[0].record['split']):
        lacking = None if expected is None else {name: owner for name, owner in expected.items() if name not in images}
        missing = (UNKNOWN_FOLDS,) if lacking is None else fold_names(lacking)
    elif numbers := {int(match[1]) for run in runs if (match := _FOLD.fullmatch(run.record['split']))}:
        missing = tuple(f'fold{number}' for number in range(1, max(splits.INNER_FOLDS, *numbers) + 1) if number not in numbers)
    return Pooled(tuple(images[name][1] for name in sorted(images)), tuple(used), missing)


def _identity(run: Run) -> dict[str, Any]:
    """Return what the runs of all folds share. The digest of the config cannot serve: it covers the split."""
    record = run.record
    # An override of a whole group counts if it changes a result by any setting of it.
    changes = {key for key in record['overrides'] if any(f'{name}.'.startswith(f'{key}.') for name in run.changed)}
    return {
        'protocols': protocol_of(record['split']),
        'classes': run.foreground,
        'initial weights': run.init_sha256,
        'overrides': {key: record['overrides'][key] for key in changes},
        'iterations': record['iterations'],
        **{f'{key}s': record[key] for key in ('seed', 'kind', 'config', 'variant')},
    }


def _check_same(runs: Sequence[Run]) -> None:
    first, by_split = runs[0], {}
    same = _identity(first)
    for run in runs:
        for what, value in _identity(run).items():
            if value != same[what]:
                raise InputError(f'{first.path} and {run.path} have different {what} and cannot be pooled; remove one of them')
        known = by_split.setdefault(run.record['split'], run)
        if known is not run:
            raise InputError(f'{known.path} and {run.path} are of one split and one seed; remove one of them')


def _never_saw(run: Run) -> bool:
    variant, split = run.record['variant'], run.record['split']
    if not is_subject_split(split) or TRAINED_ON not in variant:
        return True
    trained_on = variant.split(TRAINED_ON, 1)[1].split('+')[0]
    return held_out_subjects(split)[0] in (held_out_subjects(trained_on) or ())


def _check_subject(run: Run, image: Mapping[str, Any], expected: Mapping[str, int | str] | None) -> None:
    name, subject, split = image['name'], image['subject'], run.record['split']
    if expected is not None and name not in expected:
        raise InputError(f"{run.path}: '{name}' is not one of the {len(expected)} images of the data set; remove the record")
    if expected is not None and str(expected[name]) != str(subject):
        raise InputError(f"{run.path}: '{name}' is of subject {subject}; expected {expected[name]}; run it again")
    held_out = held_out_subjects(split) if inner_parent(split) is None else None
    if held_out is not None and not (str(subject).isdecimal() and int(subject) in held_out):
        raise InputError(
            f"{run.path}: split {split} scores '{name}' of subject {subject}, which its model was trained on; "
            f'expected subjects {", ".join(map(str, held_out))}; remove the record'
        )
