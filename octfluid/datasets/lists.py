"""The text files of a prepared data set: ``index.csv`` and the lists in ``splits/``."""

import csv
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from octfluid.datasets.splits import HALVES, LEAVE_ONE_OUT, SUBSETS, is_subject_split, subject_split
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text

_HOW_TO_MAKE = 'make the data set first: python tools/dataset_converters/<duke_dme, hrf, folder or phantom>.py (--help)'
_INDEX_COLUMNS = ('name', 'subject', 'slice')


@dataclass(frozen=True)
class IndexRow:
    """One scan of ``index.csv``: its file name without suffix, subject number and 0-based slice."""

    name: str
    subject: int
    slice: int


def load_index(root: str | os.PathLike) -> dict[str, IndexRow]:
    """Read ``<root>/index.csv``.

    Returns:
        Row by name, in the order of the file.

    Raises:
        InputError: No such data set or index, a missing column, a bad number, or a name listed twice.
    """
    rows, problems = index_rows(root)
    if problems:
        raise InputError(problems[0])
    index = {row.name: row for row in rows}
    if len(index) < len(rows):
        names = [row.name for row in rows]
        double = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{Path(root) / 'index.csv'}: '{double}' is listed more than once; expected once")
    return index


def index_rows(root: str | os.PathLike) -> tuple[list[IndexRow], list[str]]:
    """Read the lines of ``<root>/index.csv``.

    Returns:
        The good lines in order, repeated names included, and one problem for each bad line (or for the whole file).

    Raises:
        InputError: No such data set.
    """
    _require_root(Path(root))
    path = Path(root) / 'index.csv'
    if not path.exists():
        return [], [f'{path}: no such file; expected a table with the columns {", ".join(_INDEX_COLUMNS)}; {_HOW_TO_MAKE}']
    rows, problems = [], []
    reader = csv.DictReader(_lines(path))
    try:
        missing = [column for column in _INDEX_COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            first = ','.join(reader.fieldnames or ())[:80]
            return [], [
                f"{path}: no column {', '.join(missing)} in its first line '{first}'; expected at least "
                f'{", ".join(_INDEX_COLUMNS)}, with commas between them'
            ]
        if double := [column for column in _INDEX_COLUMNS if reader.fieldnames.count(column) > 1]:
            return [], [f"{path}: has more than one column '{double[0]}'; expected one"]
        for record in reader:
            if (row := _index_row(record)) is None:
                problems.append(
                    f"{path}, line {reader.line_num}: name '{record['name']}', subject '{record['subject']}', slice "
                    f"'{record['slice']}'; expected a name and two whole numbers, 0 or more"
                )
            else:
                rows.append(row)
    except csv.Error as error:  # such as a cell of 131072 characters
        problems.append(
            f'{path}, line {reader.line_num + 1}: {error}; expected a table with the columns {", ".join(_INDEX_COLUMNS)}'
        )
    return rows, problems


def _index_row(record: Mapping[str, str | None]) -> IndexRow | None:
    try:
        row = IndexRow(record['name'], int(record['subject']), int(record['slice']))
    except (TypeError, ValueError):  # of a cell that is missing, or no number
        return None
    return row if row.name and min(row.subject, row.slice) >= 0 else None


def split_names(root: str | os.PathLike) -> list[str]:
    """Return the names of all splits of a data set, sorted.

    Raises:
        InputError: No such data set, or one without splits.
    """
    root = Path(root)
    _require_root(root)
    names = sorted(path.name.removesuffix('_train.txt') for path in (root / 'splits').glob('*_train.txt'))
    if not names:
        raise InputError(f'{root}/splits: no <split>_train.txt; {_HOW_TO_MAKE}')
    return names


def read_split(root: str | os.PathLike, split: str, subset: str) -> list[str]:
    """Read one side of a split.

    Args:
        root: The data set.
        split: Name of the split, such as ``paper`` or ``subject03-inner1``.
        subset: ``train`` or ``val``.

    Returns:
        Names without suffix, in the order of the file; at least one.

    Raises:
        InputError: No such data set, split or side, or an empty list.
    """
    names = subset_lines(root, split, subset)
    if not names:
        raise InputError(f'{root}/splits/{split}_{subset}.txt: is empty; expected one name a line')
    return names


def subset_lines(root: str | os.PathLike, split: str, subset: str) -> list[str]:
    """Like `read_split`, but the list may be empty."""
    if subset not in SUBSETS:
        raise InputError(f"subset '{subset}': expected {' or '.join(SUBSETS)}")
    available = split_names(root)
    if split not in available:
        near = difflib.get_close_matches(split, available, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else '.'
        raise InputError(f"{root}: unknown split '{split}'{hint} Splits here: {_summary(available)}")
    path = Path(root) / 'splits' / f'{split}_{subset}.txt'
    if not path.exists():
        others = _summary([name for name in available if _has_val(root, name)])
        raise InputError(
            f"{path}: no such file: split '{split}' has nothing to validate on; "
            + (f'choose one of {others}' if others else 'expected one name a line')
        )
    return [line.strip() for line in _lines(path) if line.strip()]


def expand_protocols(root: str | os.PathLike, names: Sequence[str]) -> list[str]:
    """Replace the names of `octfluid.datasets.splits.PROTOCOLS` by those of the splits that they stand for.

    Args:
        root: The data set.
        names: Splits and protocols: ``halves`` stands for the two halves used in the literature, ``leave-one-subject-out``
            for every ``subjectNN`` that the data set has.

    Returns:
        Names of splits in the order given; whether plain names exist is not checked.

    Raises:
        InputError: No such data set, ``halves`` for one without them, or ``leave-one-subject-out`` for one that lacks the
            ``subjectNN`` of a subject.
    """
    splits: list[str] = []
    for name in names:
        if name == 'halves':
            if lacking := [half for half in HALVES if half not in split_names(root)]:
                raise InputError(
                    f'{root}/splits: no {lacking[0]}_train.txt, which halves stands for; '
                    f'splits here: {_summary(split_names(root))}'
                )
            splits += HALVES
        elif name == LEAVE_ONE_OUT:
            available = split_names(root)
            folds = [split for split in available if is_subject_split(split)]
            if not folds:
                raise InputError(
                    f'{root}/splits: no subjectNN_train.txt, which {LEAVE_ONE_OUT} takes one of for each subject; '
                    f'splits here: {_summary(available)}'
                )
            subjects = {subject_split(row.subject) for row in load_index(root).values()}
            if lacking := sorted(subjects - set(folds)):
                raise InputError(
                    f'{root}/splits: no {lacking[0]}_train.txt, though index.csv has scans of that subject; expected one for '
                    f'each subject, convert the data set again (or name the splits to run one by one)'
                )
            splits += folds
        else:
            splits.append(name)
    return splits


def _has_val(root: str | os.PathLike, split: str) -> bool:
    return (Path(root) / 'splits' / f'{split}_val.txt').is_file()


def _summary(names: list[str]) -> str:
    """List split names; the inner ones, three for each outer split, only as a pattern."""
    outer = [name for name in names if '-inner' not in name]
    inner = ', and <split>-inner1..3 of these' if len(outer) < len(names) else ''
    return ', '.join(outer) + inner


def _require_root(root: Path) -> None:
    if not root.is_dir():
        raise InputError(f'{root}: no such data set; {_HOW_TO_MAKE}')


def _lines(path: Path) -> list[str]:
    # utf-8-sig: a spreadsheet program may have put a byte order mark first.
    return read_text(path, 'utf-8-sig').splitlines()
