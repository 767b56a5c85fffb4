"""Which scans train and which validate: every split of the Duke DME data set, by subject and by the paper's own list."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

INNER_FOLDS = 3
SUBSETS = ('train', 'val')
HALVES = ('train6-10_test1-5', 'train1-5_test6-10')
ALL = 'all'
"""The split that trains on every scan and leaves none to score."""
LEAVE_ONE_OUT = 'leave-one-subject-out'
PROTOCOLS = ('halves', LEAVE_ONE_OUT)
"""Names that stand for several splits: the two halves, and ``subjectNN`` of every subject."""

_SUBJECT_SPLIT = re.compile(r'subject(\d{2,})')
_HALF_SPLIT = re.compile(r'train\d+-\d+_test(\d+)-(\d+)')
_INNER_SPLIT = re.compile(r'(.+)-inner\d+')
_SCAN_NAME = re.compile(r's(\d{2,})_z(\d{2,})')
# Every list that this module has ever a reason to write; the converter may replace these files and no others.
_LIST_NAME = re.compile(r'(all|paper|train\d+-\d+_test\d+-\d+|subject\d{2,})(-inner\d)?_(train|val)\.txt')


@dataclass(frozen=True, order=True)
class Scan:
    """One graded B-scan: subject number, 0-based slice, and whether any of its pixels are fluid."""

    subject: int
    slice: int
    has_fluid: bool = False

    @property
    def name(self) -> str:
        """File name without suffix, such as ``s01_z10``."""
        return f's{self.subject:02d}_z{self.slice:02d}'


@dataclass(frozen=True)
class PaperRow:
    """One line of the paper's list: its file name (``img_k``), the scan it stands for, and ``train`` or ``val``."""

    paper_name: str
    scan: Scan
    subset: str


@dataclass(frozen=True)
class Split:
    """Names of the scans on both sides, each ascending by subject and slice."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def is_list_name(name: str) -> bool:
    """Tell whether ``name`` (such as ``paper-inner1_val.txt``) is one that `write_splits` gives to its files."""
    return _LIST_NAME.fullmatch(name) is not None


def parse_name(name: str) -> tuple[int, int] | None:
    """Return (subject, 0-based slice) of a name such as ``s01_z10``; None for any other text."""
    match = _SCAN_NAME.fullmatch(name)
    return (int(match.group(1)), int(match.group(2))) if match else None


def is_subject_split(split: str) -> bool:
    """Tell whether a split is one fold of leave-one-subject-out, such as ``subject03``."""
    return _SUBJECT_SPLIT.fullmatch(split) is not None


def subject_split(subject: int | str) -> str:
    """Return the name of the fold that validates on a subject: ``subject03`` for 3."""
    return f'subject{int(subject):02d}'


def inner_parent(split: str) -> str | None:
    """Return the split whose training set an inner split divides, ``paper`` for ``paper-inner1``; None for other splits."""
    match = _INNER_SPLIT.fullmatch(split)
    return match.group(1) if match else None


def held_out_subjects(split: str) -> range | None:
    """Return the subjects that a split keeps out of its training, by its name.

    Returns:
        Subject numbers: 3 for ``subject03`` and ``subject03-inner1``, 1 to 5 for ``train6-10_test1-5``. None where the name
        does not tell (``paper``, ``all``, lists of a user's own).
    """
    outer = inner_parent(split) or split
    if match := _SUBJECT_SPLIT.fullmatch(outer):
        return range(int(match.group(1)), int(match.group(1)) + 1)
    if match := _HALF_SPLIT.fullmatch(outer):
        return range(int(match.group(1)), int(match.group(2)) + 1)
    return None


def is_by_subject(split: str) -> bool:
    """Tell whether a split (or ``leave-one-subject-out``) promises by its name that no subject is on both sides."""
    return split == LEAVE_ONE_OUT or inner_parent(split) is not None or held_out_subjects(split) is not None


def paper_rows() -> list[PaperRow]:
    """Return the 110 scans of the paper with their names in the authors' repository and their place in its 88/22 split."""
    table = resources.files('octfluid.datasets').joinpath('paper_names.csv').read_text(encoding='utf-8')
    return [
        PaperRow(row['paper_name'], Scan(int(row['subject']), int(row['slice'])), row['split'])
        for row in csv.DictReader(table.splitlines())
    ]


def inner_folds(scans: Iterable[Scan]) -> list[list[int]]:
    """Group the subjects of a training set into three folds, balanced by their number of images with fluid.

    Subjects are taken in descending order of images with fluid (equal ones by ascending number), three at a time, and each
    fold gets one of the three: the fold with the fewest images with fluid so far takes the first, then the next. Ties go
    to the fold with fewer images, then to the first fold. So folds differ by at most one subject, and nothing is random.

    Args:
        scans: The training set; at least three subjects.

    Returns:
        Three lists of subject numbers, each ascending.
    """
    images: dict[int, int] = {}
    fluid: dict[int, int] = {}
    for scan in scans:
        images[scan.subject] = images.get(scan.subject, 0) + 1
        fluid[scan.subject] = fluid.get(scan.subject, 0) + scan.has_fluid
    subjects = sorted(images, key=lambda subject: (-fluid[subject], subject))
    folds: list[list[int]] = [[] for _ in range(INNER_FOLDS)]
    for start in range(0, len(subjects), INNER_FOLDS):
        order = sorted(range(INNER_FOLDS), key=lambda k: (sum(fluid[s] for s in folds[k]), sum(images[s] for s in folds[k]), k))
        for k, subject in zip(order, subjects[start : start + INNER_FOLDS], strict=False):
            folds[k].append(subject)
    return [sorted(fold) for fold in folds]


def build_splits(scans: Sequence[Scan]) -> dict[str, Split]:
    """Build every split that the given scans allow.

    ``paper``: the paper's random 88/22. ``train6-10_test1-5`` and ``train1-5_test6-10``: the two halves used in the
    literature. ``subjectNN``: all others train, subject NN validates. ``all``: everything trains, nothing validates.
    ``<split>-innerK``, K = 1..3, for each of these with at least three training subjects: its training set, grouped by
    subject with `inner_folds`, fold K validating; settings are chosen on these, so that no scored image takes part.

    Args:
        scans: The graded scans present; any number of subjects and slices.

    Returns:
        Split by name. A split with an empty side is left out (``all`` excepted), so with few subjects there are few splits.
    """
    scans = sorted(scans)
    subset_of = {(row.scan.subject, row.scan.slice): row.subset for row in paper_rows()}
    subset = [subset_of.get((scan.subject, scan.slice)) for scan in scans]
    sides = {
        'paper': (
            [s for s, where in zip(scans, subset, strict=True) if where == 'train'],
            [s for s, where in zip(scans, subset, strict=True) if where == 'val'],
        )
    }
    first, second = set(range(1, 6)), set(range(6, 11))
    for name, (train, val) in zip(HALVES, ((second, first), (first, second)), strict=True):
        sides[name] = (_of(scans, train), _of(scans, val))
    subjects = {scan.subject for scan in scans}
    for subject in sorted(subjects):
        sides[subject_split(subject)] = (_of(scans, subjects - {subject}), _of(scans, {subject}))
    outer = {name: both for name, both in sides.items() if all(both)}
    outer['all'] = (scans, [])
    inner = {name: both for stem, (train, _) in outer.items() for name, both in _inner(stem, train).items()}
    return {
        name: Split(tuple(s.name for s in train), tuple(s.name for s in val)) for name, (train, val) in (outer | inner).items()
    }


def _of(scans: Iterable[Scan], subjects: set[int]) -> list[Scan]:
    return [scan for scan in scans if scan.subject in subjects]


def _inner(stem: str, train: Sequence[Scan]) -> dict[str, tuple[list[Scan], list[Scan]]]:
    subjects = {scan.subject for scan in train}
    if len(subjects) < INNER_FOLDS:
        return {}
    return {
        f'{stem}-inner{k}': (_of(train, subjects - set(fold)), _of(train, set(fold)))
        for k, fold in enumerate(inner_folds(train), start=1)
    }


def write_splits(folder: Path, splits: Mapping[str, Split]) -> None:
    """Write ``<split>_train.txt`` and ``<split>_val.txt``, one name a line; no file for an empty side.

    Args:
        folder: Created when missing; inside an `atomic_folder`, so the files are written plainly.
        splits: From `build_splits`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in splits.items():
        for subset in SUBSETS:
            names = getattr(split, subset)
            if names:
                (folder / f'{name}_{subset}.txt').write_bytes(''.join(f'{scan}\n' for scan in names).encode())
