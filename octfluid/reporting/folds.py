"""Pooling the folds of a protocol, so that each image is scored once, by a model that never saw its patient.

A record says what was scored, not what was trained on. That follows from the split's name: ``subjectNN`` trains on all
subjects but NN, which `octfluid.datasets.integrity` makes sure of before a training begins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from octfluid.datasets.splits import (
    LEAVE_ONE_OUT,
    held_out_subjects,
    inner_parent,
    is_by_subject,
    is_subject_split,
    paper_rows,
    subject_split,
)
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.runs import Run
from octfluid.utils.errors import InputError

__all__ = ['LEAVE_ONE_OUT', 'UNKNOWN_FOLDS', 'Pooled', 'duke_subjects', 'fold_names', 'is_by_subject', 'pool', 'protocol_of']

UNKNOWN_FOLDS = "unknown (no list of the data set's images)"
"""Stands in `Pooled.missing` where nobody can say which folds there are to be."""

_TRAINED_ON = 'trained-on-'


def protocol_of(split: str) -> str:
    """Return ``leave-one-subject-out`` for ``subjectNN``, and every other split's own name."""
    return LEAVE_ONE_OUT if is_subject_split(split) else split


@dataclass(frozen=True)
class Pooled:
    """All images of one protocol, scored by runs of one configuration and seed.

    Attributes:
        protocol: Name of the protocol.
        seed: Random seed of the runs.
        images: Elements of the records' ``images``, each image once, ascending by name.
        runs: The runs that the images come from, ascending by split.
        missing: Names of the folds without a run, or with a run that lacks some images of its subject, such as ``subject04``.
            Unless this is empty the images are not what the protocol promises, and no pooled figure may be shown.
    """

    protocol: str
    seed: int
    images: tuple[Mapping[str, Any], ...]
    runs: tuple[Run, ...]
    missing: tuple[str, ...]

    @property
    def scores(self) -> dict[str, float | None] | None:
        """``mIoU``, ``mDice`` and the foreground's ``Dice`` over all pixels, as fractions; None if a fold is missing."""
        if self.missing:
            return None
        foreground = self.runs[0].foreground
        metrics = pooled_metrics(self.images, ('background', foreground))
        return {'mIoU': metrics['mIoU'], 'mDice': metrics['mDice'], 'Dice': metrics[f'Dice.{foreground}']}


@cache
def duke_subjects() -> dict[str, int]:
    """Return the subject of each of the 110 graded scans of the Duke DME data, by name."""
    return {row.scan.name: row.scan.subject for row in paper_rows()}


def fold_names(expected: Mapping[str, int | str]) -> tuple[str, ...]:
    """Return the names of the folds of leave-one-subject-out for images with these subjects, ascending."""
    return tuple(sorted({subject_split(subject) for subject in expected.values()}))


def pool(runs: Sequence[Run], expected: Mapping[str, int | str] | None = None) -> Pooled:
    """Put the folds of a protocol together.

    Leave-one-subject-out has a fold for each subject; every other protocol is one split, and so one run.

    Args:
        runs: At least one; of one configuration, one seed and one protocol.
        expected: Subject number by name of every image that must be scored. None: the 110 scans of the Duke list where all
            images have names of it; of other images nothing is known, and folds of leave-one-subject-out count as missing.

    Raises:
        InputError: Runs of different protocols, seeds, configs, overrides, initial weights, iterations or variants; two runs
            of one fold; an image scored in two folds, of a subject that its fold trains on, or not among the expected.
    """
    if not runs:
        raise InputError('no runs to pool; expected at least one')
    runs = sorted(runs, key=lambda run: (run.record['split'], run.label))
    _check_same(runs)
    protocol = protocol_of(runs[0].record['split'])
    used = [run for run in runs if _never_saw(run)]
    source: dict[str, Run] = {}
    images: dict[str, Mapping[str, Any]] = {}
    if expected is None and all(image['name'] in duke_subjects() for run in runs for image in run.record['images']):
        expected = duke_subjects()
    for run in used:
        for image in run.record['images']:
            _check_subject(run, image, expected)
            other = source.setdefault(image['name'], run)
            if other is not run:
                raise InputError(
                    f"{other.path} and {run.path} both score '{image['name']}', which would count twice; remove one of them"
                )
            images[image['name']] = image
    missing = _missing(images, expected) if protocol == LEAVE_ONE_OUT else ()
    return Pooled(protocol, runs[0].record['seed'], tuple(images[name] for name in sorted(images)), tuple(used), missing)


def _check_same(runs: Sequence[Run]) -> None:
    """Refuse runs that differ in more than their fold. The digest of the config cannot tell: it covers the split."""
    first, by_split = runs[0], {}
    for run in runs:
        for what, of in (
            ('protocols', lambda run: protocol_of(run.record['split'])),
            ('seeds', lambda run: run.record['seed']),
            ('kinds', lambda run: run.record['kind']),
            ('configs', lambda run: run.record['config']),
            ('overrides', _changes),
            ('classes', lambda run: run.foreground),
            ('initial weights', lambda run: run.init_sha256),
            ('iterations', lambda run: run.record['iterations']),
            ('variants', lambda run: run.record['variant']),
        ):
            if of(run) != of(first):
                raise InputError(f'{first.path} and {run.path} have different {what} and cannot be pooled; remove one of them')
        split = run.record['split']
        known = by_split.setdefault(split, run)
        if known is not run:
            raise InputError(
                f'{known.path} and {run.path} are both of split {split} and seed {run.record["seed"]} and would count twice; '
                'remove one of them'
            )


def _changes(run: Run) -> dict[str, Any]:
    """Return the overrides that change a result; an override of a whole group counts if any setting of it does."""
    changed = run.changed
    overrides = run.record['overrides']
    return {key: overrides[key] for key in overrides if any(f'{name}.'.startswith(f'{key}.') for name in changed)}


def _never_saw(run: Run) -> bool:
    """Tell whether a run's weights may stand for its fold: a test can be of weights that were trained on another split."""
    variant, split = run.record['variant'], run.record['split']
    if not is_subject_split(split) or _TRAINED_ON not in variant:
        return True
    trained_on = variant.split(_TRAINED_ON, 1)[1].split('+')[0]
    return held_out_subjects(split)[0] in (held_out_subjects(trained_on) or ())


def _check_subject(run: Run, image: Mapping[str, Any], expected: Mapping[str, int | str] | None) -> None:
    """Refuse an image that the run's model may have seen the patient of, or that nobody expects."""
    name, subject, split = image['name'], image['subject'], run.record['split']
    if expected is not None and name not in expected:
        raise InputError(
            f"{run.path}: scores '{name}', which is none of the {len(expected)} images of the data set; remove the record"
        )
    if expected is not None and str(expected[name]) != str(subject):
        raise InputError(
            f"{run.path}: '{name}' is of subject {subject}; expected subject {expected[name]}, as in the data set's list; "
            'run it again'
        )
    named = held_out_subjects(split) if inner_parent(split) is None else None
    if named is not None and not (str(subject).isdecimal() and int(subject) in named):
        raise InputError(
            f"{run.path}: split {split} scores '{name}' of subject {subject}, which its model was trained on; expected only "
            f'subjects that the split holds out ({", ".join(map(str, named))}); remove the record'
        )


def _missing(scored: Mapping[str, Any], expected: Mapping[str, int | str] | None) -> tuple[str, ...]:
    """Return the folds that lack images: those of subjects that nobody scored, or not wholly."""
    if expected is None:
        return (UNKNOWN_FOLDS,)
    return fold_names({name: subject for name, subject in expected.items() if name not in scored})
