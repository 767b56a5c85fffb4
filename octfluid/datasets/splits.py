"""The lists of a prepared data set: ``index.csv``, which B-scans train and which validate, and what the names of splits mean.

``<root>/index.csv`` has at least the columns ``name``, ``subject`` and ``slice``; ``<root>/splits/<split>_{train,val}.txt``
has one name a line.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text

INNER_FOLDS = 3
SUBSETS = ('train', 'val')
HALVES = ('train6-10_test1-5', 'train1-5_test6-10')
ALL = 'all'
"""The split that trains on every scan and leaves no scan to score."""
LEAVE_ONE_OUT = 'leave-one-subject-out'
PROTOCOLS = ('halves', LEAVE_ONE_OUT)
"""Names that stand for several splits: the two halves, and ``subjectNN`` of every subject."""
GRADED = ('graded_first_column', 'graded_last_column')
"""Columns of ``index.csv``: where a grader began and ended, 0-based pixels of the native scan."""
DUKE_LISTS = r'(all|paper|train\d+-\d+_test\d+-\d+|subject\d{2,})(-inner\d)?_(train|val)\.txt'
"""Pattern of the file names of the lists that `build_splits` makes."""

_HOW_TO_MAKE = 'make the data set first: python tools/dataset_converters/<duke_dme, hrf, folder or phantom>.py (--help)'
_SUBJECT_SPLIT = re.compile(r'subject(\d{2,})')
_HELD_OUT = re.compile(r'subject(\d{2,})|train\d+-\d+_test(\d+)-(\d+)')
_INNER_SPLIT = re.compile(r'(.+)-inner\d+')


@dataclass(frozen=True, order=True)
class GradedBScan:
    """One graded B-scan: subject number, 0-based slice, and whether any of its pixels are fluid."""

    subject: int
    slice: int
    has_fluid: bool = False

    @property
    def name(self) -> str:
        """File name without suffix, such as ``s01_z10``."""
        return f's{self.subject:02d}_z{self.slice:02d}'


class PaperRow(NamedTuple):
    """One line of the paper's list: its file name (``img_k``), the scan, and ``train`` or ``val``."""

    paper_name: str
    scan: GradedBScan
    subset: str


class Split(NamedTuple):
    """Names of the scans on both sides, each ascending by subject and slice."""

    train: tuple[str, ...]
    val: tuple[str, ...]


class IndexRow(NamedTuple):
    """One scan of ``index.csv``: its file name without suffix, subject number, 0-based slice.

    ``graded``: first and last graded column, 0-based pixels of the native scan; None where the index has none.
    """

    name: str
    subject: int
    slice: int
    graded: tuple[int, int] | None = None


def is_subject_split(split: str) -> bool:
    """Return whether a split is one fold of leave-one-subject-out, such as ``subject03``."""
    return _SUBJECT_SPLIT.fullmatch(split) is not None


def subject_split(subject: int | str) -> str:
    """Return the name of the fold that validates on a subject: ``subject03`` for 3."""
    return f'subject{int(subject):02d}'


def inner_parent(split: str) -> str | None:
    """Return the split whose training set an inner split divides, ``paper`` for ``paper-inner1``; None for other splits."""
    match = _INNER_SPLIT.fullmatch(split)
    return match.group(1) if match else None


def held_out_subjects(split: str) -> range | None:
    """Return the subjects that the name of a split keeps out of its training; None for a name without subjects.

    3 for ``subject03`` and ``subject03-inner1``, 1 to 5 for ``train6-10_test1-5``.
    """
    match = _HELD_OUT.fullmatch(inner_parent(split) or split)
    if match is None:
        return None
    subject, first, last = match.groups()
    return range(int(subject or first), int(subject or last) + 1)


def is_by_subject(split: str) -> bool:
    """Return whether the name of a split (or ``leave-one-subject-out``) promises that no subject is on both sides."""
    return split == LEAVE_ONE_OUT or inner_parent(split) is not None or held_out_subjects(split) is not None


def paper_rows() -> list[PaperRow]:
    """Return the 110 scans of the paper with their names in the authors' repository and their place in its 88/22 split."""
    table = resources.files('octfluid.datasets').joinpath('paper_names.csv').read_text(encoding='utf-8')
    return [
        PaperRow(row['paper_name'], GradedBScan(int(row['subject']), int(row['slice'])), row['split'])
        for row in csv.DictReader(table.splitlines())
    ]


def inner_folds(scans: Iterable[GradedBScan]) -> list[list[int]]:
    """Group the subjects (at least three) of a training set into three folds, each ascending, balanced by images with fluid.

    Subjects are taken in descending order of images with fluid (equal ones by ascending number), three at a time, and each
    fold gets one of the three: the fold with the fewest images with fluid so far takes the first, then the next. Ties go
    to the fold with fewer images, then to the first fold. So folds differ by at most one subject, and nothing is random.
    """
    scans = list(scans)
    images = Counter(scan.subject for scan in scans)
    fluid = Counter(scan.subject for scan in scans if scan.has_fluid)
    subjects = sorted(images, key=lambda subject: (-fluid[subject], subject))
    folds: list[list[int]] = [[] for _ in range(INNER_FOLDS)]
    for start in range(0, len(subjects), INNER_FOLDS):
        order = sorted(range(INNER_FOLDS), key=lambda k: (sum(fluid[s] for s in folds[k]), sum(images[s] for s in folds[k]), k))
        for k, subject in zip(order, subjects[start : start + INNER_FOLDS], strict=False):
            folds[k].append(subject)
    return [sorted(fold) for fold in folds]


def build_splits(scans: Iterable[GradedBScan]) -> dict[str, Split]:
    """Build every split that the given scans allow.

    ``paper``: the paper's random 88/22. ``train6-10_test1-5`` and ``train1-5_test6-10``: the two halves used in the
    literature. ``subjectNN``: all others train, subject NN validates. ``all``: everything trains, nothing validates.
    ``<split>-innerK``, K = 1..3, for each of these with at least three training subjects: its training set, grouped by
    subject with `inner_folds`, fold K validating; settings are chosen on these, so that no scored image takes part. A split
    with an empty side is left out (``all`` excepted), so with few subjects there are few splits.
    """
    scans = sorted(scans)
    subset_of = {(row.scan.subject, row.scan.slice): row.subset for row in paper_rows()}
    sides = {'paper': tuple([scan for scan in scans if subset_of.get((scan.subject, scan.slice)) == side] for side in SUBSETS)}
    names = (*HALVES, *sorted({subject_split(scan.subject) for scan in scans}))
    sides |= {name: _divided(scans, held_out_subjects(name)) for name in names}
    outer = {name: both for name, both in sides.items() if all(both)} | {ALL: (scans, [])}
    inner = {}
    for stem, (train, _) in outer.items():
        folds = inner_folds(train) if len({scan.subject for scan in train}) >= INNER_FOLDS else []
        inner |= {f'{stem}-inner{k}': _divided(train, fold) for k, fold in enumerate(folds, start=1)}
    return {name: Split(*(tuple(scan.name for scan in side) for side in both)) for name, both in (outer | inner).items()}


def _divided(scans: Sequence[GradedBScan], held_out: Iterable[int]) -> tuple[list[GradedBScan], list[GradedBScan]]:
    held_out = set(held_out)
    return [scan for scan in scans if scan.subject not in held_out], [scan for scan in scans if scan.subject in held_out]


def write_splits(folder: Path, splits: Mapping[str, Split]) -> None:
    """Write ``<split>_train.txt`` and ``<split>_val.txt``, one name a line, in a new folder; no file for an empty side."""
    folder.mkdir()
    for name, split in splits.items():
        for subset in SUBSETS:
            if names := getattr(split, subset):
                (folder / f'{name}_{subset}.txt').write_bytes(''.join(f'{scan}\n' for scan in names).encode())


def load_index(root: str | os.PathLike) -> dict[str, IndexRow]:
    """Read ``<root>/index.csv``: rows by name, in the order of the file.

    Raises:
        InputError: No such data set or index, a missing column, a bad number, or a name listed twice.
    """
    path = Path(root) / 'index.csv'
    index: dict[str, IndexRow] = {}
    reader = csv.DictReader(_lines(path))
    try:
        for record in reader:
            graded = tuple(int(record[column]) for column in GRADED if record.get(column))
            row = IndexRow(record['name'], int(record['subject']), int(record['slice']), graded or None)
            if not row.name or min(row.subject, row.slice, *graded) < 0 or row.name in index or len(graded) == 1:
                raise ValueError('expected a name that is not listed before, and whole numbers of at least 0')
            index[row.name] = row
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}, line {reader.line_num}: no name, subject and slice ({str(error)[:100]})') from error
    return index


def split_names(root: str | os.PathLike) -> list[str]:
    """Return the names of all splits of a data set, sorted; `InputError` where there are none."""
    names = sorted(path.name.removesuffix('_train.txt') for path in Path(root).glob('splits/*_train.txt'))
    if not names:
        raise InputError(f'{root}/splits: no <split>_train.txt; {_HOW_TO_MAKE}')
    return names


def require_split(root: str | os.PathLike, split: str) -> None:
    """Refuse a split that a data set does not have, with `InputError`."""
    available = split_names(root)
    if split not in available:
        raise InputError(f"{root}: unknown split '{split}'; expected one of {', '.join(available)}")


def read_split(root: str | os.PathLike, split: str, subset: str) -> list[str]:
    """Read one side of a split: names in the order of the file, at least one; else, or for no such side, `InputError`."""
    require_split(root, split)
    path = Path(root) / 'splits' / f'{split}_{subset}.txt'
    if not path.exists():
        raise InputError(f"{path}: no such file: split '{split}' has nothing to validate on; choose another split")
    names = [line.strip() for line in _lines(path) if line.strip()]
    if not names:
        raise InputError(f'{path}: is empty; expected one name a line')
    return names


def expand_protocols(root: str | os.PathLike, names: Sequence[str]) -> list[str]:
    """Replace the names of `PROTOCOLS` by those of the splits they stand for."""
    splits: list[str] = []
    for name in names:
        if name == LEAVE_ONE_OUT:
            splits += sorted({subject_split(row.subject) for row in load_index(root).values()})
        else:
            splits += HALVES if name in PROTOCOLS else [name]
    return splits


def _lines(path: Path) -> list[str]:
    return read_text(path, 'utf-8-sig').splitlines()  # a spreadsheet program may have put a byte order mark first
