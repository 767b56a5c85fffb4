"""From the published Duke DME volumes to the prepared data set that configs read (layout in `octfluid.datasets.integrity`)."""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from octfluid.datasets.prepared import is_earlier_conversion, write_png
from octfluid.datasets.splits import Scan, build_splits, is_list_name, paper_rows, parse_name, write_splits
from octfluid.io.duke_mat import SUBJECT_FILE, read_subject, subject_number
from octfluid.utils.atomic import atomic_folder
from octfluid.utils.errors import InputError

SUBJECTS = tuple(range(1, 11))
PAPER_SIZE = (256, 256)
NATIVE_DIR, PAPER_DIR = 'native', 'paper_256'
INDEX_COLUMNS = ('name', 'paper_name', 'subject', 'slice', 'fluid_px_native', 'fluid_px_256')
# The paper's threshold. Pockets are numbered from 1, so any value between 0 and 1 gives the same mask; NaN gives background.
_FLUID_ABOVE = 0.3


@dataclass(frozen=True)
class PrepareSummary:
    """What a conversion found and where it put the result.

    Attributes:
        slices: B-scans in the files, graded or not.
        graded: B-scans with an annotation: those that were written.
        with_fluid: Graded B-scans with at least one pixel of fluid.
        subjects: Subject numbers found, ascending.
        sources: The files read, in the order of ``subjects``.
        out_dir: The prepared data set.
    """

    slices: int
    graded: int
    with_fluid: int
    subjects: tuple[int, ...]
    sources: tuple[Path, ...]
    out_dir: Path


@dataclass(frozen=True)
class _Row:
    """One line of ``index.csv``; fluid areas in pixels."""

    scan: Scan
    fluid_px_native: int
    fluid_px_256: int


def prepare(
    raw_dir: str | os.PathLike,
    out_dir: str | os.PathLike,
    grader: int = 1,
    allow_missing: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PrepareSummary:
    """Convert ``Subject_*.mat`` into images, masks, ``index.csv`` and splits.

    Masks are 1 where the annotation is above 0.3, else 0. ``native/`` keeps the scan's size; ``paper_256/`` is Pillow's
    default (bicubic) resize of the 8-bit image and of the 0/1 mask to 256x256, which is what the paper did. The same input
    gives the same bytes. ``out_dir`` changes only at the very end: an interrupted or failed conversion leaves it as it was.

    Args:
        raw_dir: Folder with the files, or with one folder that holds them (as the archive unpacks).
        out_dir: Created, or replaced if it holds nothing but an earlier conversion.
        grader: 1 or 2, whose annotation to use.
        allow_missing: Go on with fewer than the ten subjects.
        progress: Called with (subjects done, subjects in all) before the first and after each subject.

    Raises:
        InputError: Nothing to convert, subjects missing, a bad file, or an ``out_dir`` with other content.
        OSError: Reading or writing failed, such as a full disk.
    """
    sources = find_subjects(raw_dir, allow_missing)
    slices, rows = 0, []
    with atomic_folder(out_dir, _is_earlier_conversion) as folder:
        for size_dir in (NATIVE_DIR, PAPER_DIR):
            for kind in ('images', 'annotations'):
                (folder / size_dir / kind).mkdir(parents=True)
        for done, path in enumerate(sources.values()):
            _report(progress, done, len(sources))
            count, found = _convert_subject(path, grader, folder)
            slices += count
            rows += found
        if not rows:
            raise InputError(
                f'{raw_dir}: no graded slice in {len(sources)} files: manualFluid{grader} is NaN everywhere; '
                'expected 11 graded slices a subject; try the other grader'
            )
        _write_index(folder / 'index.csv', rows)
        write_splits(folder / 'splits', build_splits([row.scan for row in rows]))
        _report(progress, len(sources), len(sources))
    with_fluid = sum(row.scan.has_fluid for row in rows)
    return PrepareSummary(slices, len(rows), with_fluid, tuple(sources), tuple(sources.values()), Path(out_dir))


def find_subjects(raw_dir: str | os.PathLike, allow_missing: bool = False) -> dict[int, Path]:
    """Find ``Subject_*.mat`` in a folder or in one of its sub-folders.

    Args:
        raw_dir: Where to look.
        allow_missing: Accept fewer than the ten published subjects.

    Returns:
        Path by subject number, ascending.

    Raises:
        InputError: No such folder, no such file in it, several folders or files that could be meant, or missing subjects.
    """
    raw = Path(raw_dir)
    if not raw.is_dir():
        raise InputError(
            f'{raw}: no such folder; expected the folder that holds Subject_01.mat ... Subject_10.mat '
            '(get it with: bash scripts/download_data.sh duke)'
        )
    folders = (
        [raw]
        if _subject_files(raw)
        else [folder for folder in sorted(raw.iterdir()) if folder.is_dir() and _subject_files(folder)]
    )
    if not folders:
        raise InputError(
            f'{raw}: no Subject_*.mat in it or one level down; expected Subject_01.mat ... Subject_10.mat '
            '(get them with: bash scripts/download_data.sh duke)'
        )
    if len(folders) > 1:
        raise InputError(f'{raw}: Subject_*.mat in several folders: {", ".join(f.name for f in folders)}; name one of them')
    files: dict[int, Path] = {}
    for path in _subject_files(folders[0]):
        other = files.setdefault(subject_number(path), path)
        if other != path:
            raise InputError(f'{folders[0]}: {other.name} and {path.name} are both subject {subject_number(path)}; remove one')
    missing = [f'Subject_{number:02d}.mat' for number in SUBJECTS if number not in files]
    if missing and not allow_missing:
        raise InputError(
            f'{folders[0]}: {len(SUBJECTS) - len(missing)} of the {len(SUBJECTS)} subjects, missing '
            f'{", ".join(missing)}; add them, or go on without them with --allow-missing'
        )
    return dict(sorted(files.items()))


def _subject_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if SUBJECT_FILE.fullmatch(path.name))


def _report(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _convert_subject(path: Path, grader: int, folder: Path) -> tuple[int, list[_Row]]:
    """Write one subject's graded slices; return its number of slices and one row for each written."""
    subject = read_subject(path, grader)
    rows = []
    for z in subject.graded_slices:
        image = np.ascontiguousarray(subject.images[:, :, z])
        mask = (subject.fluid[:, :, z] > _FLUID_ABOVE).astype(np.uint8)
        scan = Scan(subject.subject, z, bool(mask.any()))
        small_image, small_mask = _paper_size(image), _paper_size(mask)
        for size_dir, kind, pixels in (
            (NATIVE_DIR, 'images', image),
            (NATIVE_DIR, 'annotations', mask),
            (PAPER_DIR, 'images', small_image),
            (PAPER_DIR, 'annotations', small_mask),
        ):
            write_png(folder / size_dir / kind / f'{scan.name}.png', pixels)
        rows.append(_Row(scan, int(mask.sum()), int(small_mask.sum())))
    return subject.images.shape[2], rows


def _paper_size(pixels: np.ndarray) -> np.ndarray:
    """Resize (H, W) uint8 to (256, 256) uint8 with Pillow's default filter, bicubic; masks too, as the paper did."""
    return np.asarray(Image.fromarray(pixels).resize(PAPER_SIZE))


def _write_index(path: Path, rows: list[_Row]) -> None:
    paper_names = {row.scan.name: row.paper_name for row in paper_rows()}
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(INDEX_COLUMNS)
        for row in rows:
            name = row.scan.name
            writer.writerow(
                [name, paper_names.get(name, ''), row.scan.subject, row.scan.slice, row.fluid_px_native, row.fluid_px_256]
            )


def _is_earlier_conversion(folder: Path) -> bool:
    return is_earlier_conversion(folder, INDEX_COLUMNS, _is_ours)


def _is_ours(path: Path) -> bool:
    match path.parts:
        case ('index.csv',):
            return True
        case ('splits', name):
            return is_list_name(name)
        case (('native' | 'paper_256'), ('images' | 'annotations'), _):
            return path.suffix == '.png' and parse_name(path.stem) is not None
    return False
