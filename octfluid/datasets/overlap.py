"""What would let a model be scored on what it was trained on: the same image, picture or subject on both sides of a split."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from octfluid.datasets.lists import SUBSETS, load_index, read_split
from octfluid.datasets.perceptual_hash import Looks, same_pictures
from octfluid.datasets.splits import held_out_subjects, inner_parent, is_by_subject
from octfluid.utils.errors import InputError


def refuse_overlap(root: str | os.PathLike, split: str) -> None:
    """Check, by lists and index alone, that a split keeps apart what it has to: see `check_dataset` for everything else.

    Args:
        root: The data set.
        split: Name of a split with both sides.

    Raises:
        InputError: An image is on both sides; or, of a split by subject (``subjectNN``, the halves, ``<split>-innerK``), a
            subject is, or one validates that the split's name does not hold out. Also: no such data set, split or side.
    """
    lists = {subset: read_split(root, split, subset) for subset in SUBSETS}
    subjects = {name: row.subject for name, row in load_index(root).items()}
    if problems := overlaps(Path(root), split, lists, subjects):
        raise InputError(problems[0])


def subject_overlap(root: str | os.PathLike, split: str) -> list[int]:
    """Return the subjects that have scans on both sides of a split, ascending; empty if nothing validates.

    Raises:
        InputError: Unknown split, or a name that ``index.csv`` lacks.
    """
    index = load_index(root)
    sides = []
    for subset in SUBSETS:
        if subset == 'val' and not (Path(root) / 'splits' / f'{split}_val.txt').is_file():
            return []
        names = read_split(root, split, subset)
        unknown = next((name for name in names if name not in index), None)
        if unknown is not None:
            raise InputError(
                f"{root}/splits/{split}_{subset}.txt: '{unknown}' is not in {root}/index.csv; make the data set again"
            )
        sides.append({index[name].subject for name in names})
    return sorted(sides[0] & sides[1])


def overlaps(root: Path, split: str, lists: Mapping[str, Sequence[str]], subjects: Mapping[str, int]) -> list[str]:
    """Find what would let a model be scored on what it was trained on, one problem an image or a subject.

    No image may be on both sides of any split. The splits by subject promise more in their names: no subject on both sides,
    and only the subjects that they name on the side that validates.
    """
    train, val = lists['train'], lists.get('val', ())
    both = [name for name in train if name in set(val)]
    problems = [f"{root}/splits: '{name}' is in both {split}_train.txt and {split}_val.txt; expected in one" for name in both]
    if not is_by_subject(split):
        return problems
    trains = {subjects[name]: name for name in reversed(train) if name in subjects}
    validates = {subjects[name]: name for name in reversed(val) if name in subjects}
    problems += [
        f"{root}/splits/{split}_val.txt: '{name}' is of subject {subject}, and so is '{trains[subject]}' in {split}_train.txt; "
        f"expected each subject of split '{split}' on one side only"
        for subject, name in sorted(validates.items())
        if subject in trains and subject not in {subjects.get(image) for image in both}
    ]
    named = held_out_subjects(split) if inner_parent(split) is None else None
    problems += [
        f"{root}/splits/{split}_val.txt: '{name}' is of subject {subject}; expected only subjects that '{split}' names: "
        f'{", ".join(map(str, named))}'
        for subject, name in sorted(validates.items())
        if named is not None and subject not in named
    ]
    return problems


def picture_overlaps(
    root: Path, split: str, lists: Mapping[str, Sequence[str]], looks: Mapping[str, Looks]
) -> tuple[list[str], list[str]]:
    """Find pictures that are on both sides of a split under different names.

    Args:
        root: The data set.
        split: Name of the split.
        lists: Names by subset.
        looks: Of every readable image, by name.

    Returns:
        One problem a picture that is there twice pixel by pixel, and one warning for all that are only much alike.
    """
    found = same_pictures(lists['train'], lists.get('val', ()), looks)
    problems = [
        f"{root}/splits: '{name}' in {split}_val.txt is pixel by pixel '{twin}' in {split}_train.txt; "
        'expected no picture on both sides'
        for name, twin, equal in found
        if equal
    ]
    alike = [(name, twin) for name, twin, equal in found if not equal]
    if not alike:
        return problems, []
    pairs = ', '.join(f'{name} and {twin}' for name, twin in alike[:3]) + (', ...' if len(alike) > 3 else '')
    return problems, [f'{root}/splits/{split}_val.txt: {len(alike)} scans look like copies of training scans: {pairs}']
