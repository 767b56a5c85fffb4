"""The images of one configuration, scored once for every seed: the raw material of measures and of their uncertainty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.runs import DECIMALS
from octfluid.utils.errors import InputError

_SAME = {
    'subject': lambda row: row['subject'],
    'height x width': lambda row: f'{row["height"]} x {row["width"]}',
    'true foreground pixels': lambda row: row['tp'] + row['fn'],
    'true background pixels': lambda row: row['fp'] + row['tn'],
}


@dataclass(frozen=True)
class Scored:
    """Images of one configuration, the same images for every seed; made by `scored`.

    Attributes:
        names: N image names, ascending.
        subjects: The patient of each image, N numbers or texts; None where unknown.
        seeds: S seeds, ascending.
        rows: S x N elements of a run record's ``images``, in the order of ``seeds`` and ``names``.
    """

    names: tuple[str, ...]
    subjects: tuple[int | str | None, ...]
    seeds: tuple[int, ...]
    rows: tuple[tuple[Mapping[str, Any], ...], ...]

    @property
    def patients(self) -> tuple[int | str | None, ...]:
        """The P different subjects: None first where an image's subject is unknown, then numbers, then texts, ascending."""
        return tuple(sorted(set(self.subjects), key=lambda subject: (type(subject).__name__, subject)))

    @property
    def patients_known(self) -> bool:
        """Whether the patient of every image is known."""
        return None not in self.subjects


def scored(images_by_seed: Mapping[int, Sequence[Mapping[str, Any]]]) -> Scored:
    """Bring the images of several seeds in one order.

    Args:
        images_by_seed: Seed to ``images`` of its run record, in any order.

    Raises:
        InputError: There is no seed or no image, an image occurs twice in one seed, or two seeds differ in an image's
            presence, subject, size or number of true pixels.
    """
    seeds = tuple(sorted(images_by_seed))
    if not seeds or not images_by_seed[seeds[0]]:
        raise InputError('there are no scored images; expected at least one seed with at least one image in its run record')
    rows = tuple(tuple(sorted(images_by_seed[seed], key=lambda row: row['name'])) for seed in seeds)
    for seed, images in zip(seeds, rows, strict=True):
        for first, second in pairwise(images):
            if first['name'] == second['name']:
                raise InputError(f'seed {seed}: image {first["name"]} is scored twice; expected each image once, remove one')
        _check_same(rows[0], images, f'seed {seeds[0]}', f'seed {seed}')
    names, subjects = (tuple(row[key] for row in rows[0]) for key in ('name', 'subject'))
    return Scored(names, subjects, seeds, rows)


def check_same_images(arm: Scored, reference: Scored) -> None:
    """Check that two configurations were scored on the same images.

    Raises:
        InputError: Naming the first image that only one of them has, or whose subject, size or true pixels differ.
    """
    _check_same(arm.rows[0], reference.rows[0], 'one configuration', 'the other')


def _check_same(first: Sequence[Mapping], second: Sequence[Mapping], one: str, other: str) -> None:
    """Refuse two lists of images, both ascending by name, that are not the same images."""
    advice = 'expected the same images on both sides, score one of them again'
    alone = sorted({row['name'] for row in first} ^ {row['name'] for row in second})
    if alone:
        owner = one if any(row['name'] == alone[0] for row in first) else other
        raise InputError(f'image {alone[0]} is scored in {owner} alone ({one} is compared with {other}); {advice}')
    for a, b in zip(first, second, strict=True):
        for what, value in _SAME.items():
            if value(a) != value(b):
                found = f'{value(a)} in {one} and {value(b)} in {other}'
                raise InputError(f'image {a["name"]}: {what} {found}; {advice}')


def per_subject(scored: Scored) -> list[dict[str, Any]]:
    """Score each patient, all images of the patient pooled.

    Returns:
        For each subject, in the order of `Scored.patients`: ``subject``, ``images`` and ``with_fluid`` (numbers of images),
        ``true_px`` (true foreground pixels of all of them), ``dice`` (a fraction or None for each seed; None where nothing is
        true and nothing predicted) and ``mean`` over the seeds, None unless all are defined.
    """
    found = []
    for subject in scored.patients:
        mine = [index for index, owner in enumerate(scored.subjects) if owner == subject]
        dice = [pooled_metrics([rows[index] for index in mine])['Dice.fluid'] for rows in scored.rows]
        true_px = [scored.rows[0][index]['tp'] + scored.rows[0][index]['fn'] for index in mine]
        found.append(
            {
                'subject': subject,
                'images': len(mine),
                'with_fluid': sum(pixels > 0 for pixels in true_px),
                'true_px': sum(true_px),
                'dice': [_rounded(value) for value in dice],
                'mean': _mean(dice),
            }
        )
    return found


def per_image(scored: Scored) -> list[dict[str, Any]]:
    """Describe what is true and what was predicted on each image.

    Returns:
        For each image, ascending by name: ``name``, ``subject``, ``true_px``, and means over the seeds of ``predicted_px``,
        ``false_px`` (false positive pixels) and ``dice`` (a fraction; None for an image without true foreground, which has no
        Dice of its own: it would be 0/0, or 0 however little is predicted).
    """
    found = []
    for index, (name, subject) in enumerate(zip(scored.names, scored.subjects, strict=True)):
        rows = [images[index] for images in scored.rows]
        true_px = rows[0]['tp'] + rows[0]['fn']
        found.append(
            {
                'name': name,
                'subject': subject,
                'true_px': true_px,
                'predicted_px': _mean([row['tp'] + row['fp'] for row in rows]),
                'dice': _mean([pooled_metrics([row])['Dice.fluid'] for row in rows]) if true_px else None,
                'false_px': _mean([row['fp'] for row in rows]),
            }
        )
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DECIMALS)


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else round(sum(values) / len(values), DECIMALS)
