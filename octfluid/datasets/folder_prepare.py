"""From a folder of scans and a folder of masks to a prepared data set: other devices, or your own scans to train on."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octfluid.datasets.gray_files import read_mask, read_scan
from octfluid.datasets.prepared import is_earlier_conversion, write_png
from octfluid.datasets.splits import INNER_FOLDS, Scan, Split, inner_folds, write_splits
from octfluid.io.readers import natural_key
from octfluid.io.results import write_csv
from octfluid.utils.atomic import atomic_folder
from octfluid.utils.errors import InputError

SUFFIXES = ('.png', '.tif', '.tiff', '.bmp', '.jpg', '.jpeg')
MASK_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')
INDEX_COLUMNS = ('name', 'subject', 'slice', 'group', 'fluid_px_native')
SIZE_DIR, SPLIT = 'native', 'all'
ONE_EACH = '(.+)'
_LIST = re.compile(rf'splits/({SPLIT}_train|fold[1-{INNER_FOLDS}]_(train|val))\.txt')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')


@dataclass(frozen=True)
class FolderSummary:
    """What was found and where it went.

    Attributes:
        scans: Pairs of scan and mask that were written.
        with_fluid: Those whose mask has a pixel of fluid.
        subjects: Different patients among them, as far as names tell.
        without_mask: Names of scans that have no mask; left out.
        out_dir: The prepared data set.
        splits: Names of its splits.
        without_scan: Names of masks that have no scan; left out.
        mostly_fluid: Names of the scans of which the mask calls more than half fluid, as one does in which 0 and 1 are
            interchanged.
    """

    scans: int
    with_fluid: int
    subjects: int
    without_mask: tuple[str, ...]
    out_dir: Path
    splits: tuple[str, ...] = (SPLIT,)
    without_scan: tuple[str, ...] = ()
    mostly_fluid: tuple[str, ...] = ()


def prepare_folder(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    out_dir: str | os.PathLike,
    subject: str = ONE_EACH,
    progress: Callable[[int, int], None] | None = None,
    folds: bool = False,
) -> FolderSummary:
    """Write ``native/{images,annotations}/<name>.png``, ``index.csv`` and the split ``all``.

    With ``folds`` also the splits ``fold1`` to ``fold3``, which divide the patients among them: each validates on a third.

    Scans are stored as 8-bit gray, at their own size, and masks as 0 and 1. Nothing is resized.

    Args:
        images: Folder of scans of 8 bits, gray or with three equal channels, or of 16 bits, gray: these are brought to 8.
        masks: Folder of masks with the names of their scans: 0, and 1 or 255 for fluid.
        out_dir: Created, or replaced if it holds nothing but an earlier conversion; changes only at the very end.
        subject: Regular expression that a whole name matches; its first group that takes part names the patient. By default
            each scan is of a patient of its own.
        progress: Called with (scans done, scans in all) before the first and after each scan.
        folds: Write the three splits by patient, too.

    Raises:
        InputError: No scan with a mask, fewer than three patients for folds, two scans of one name, a name that ``subject``
            does not match or that has other characters than letters, digits and ``. _ -``, a file that is no such scan or mask,
            or a mask of another size than its scan's.
    """
    pattern = _compiled(subject)
    scans, truths, paired = _pairs(Path(images), Path(masks))
    patients = _patients(paired, pattern, Path(images))
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients.values()), start=1)}
    report = progress or (lambda done, total: None)
    rows: list[dict] = []
    mostly_fluid: list[str] = []
    with atomic_folder(out_dir, _is_earlier_conversion) as folder:
        report(0, len(paired))
        for name in paired:
            fluid, pixels = _write_pair(scans[name], truths[name], folder / SIZE_DIR, name)
            mostly_fluid += [name] * (2 * fluid > pixels)
            place = sum(row['group'] == patients[name] for row in rows)
            rows.append(dict(zip(INDEX_COLUMNS, (name, numbers[patients[name]], place, patients[name], fluid), strict=True)))
            report(len(rows), len(paired))
        write_csv(folder / 'index.csv', INDEX_COLUMNS, rows)
        splits = {SPLIT: Split(tuple(paired), ()), **(_folds(rows, images) if folds else {})}
        write_splits(folder / 'splits', splits)
    alone, lost = (tuple(sorted(some.keys() - others)) for some, others in ((scans, truths), (truths, scans)))
    return FolderSummary(
        len(rows), _with_fluid(rows), len(numbers), alone, Path(out_dir), tuple(splits), lost, mostly_fluid=tuple(mostly_fluid)
    )


def _with_fluid(rows: Sequence[Mapping]) -> int:
    return sum(row['fluid_px_native'] > 0 for row in rows)


def _pairs(images: Path, masks: Path) -> tuple[dict[str, Path], dict[str, Path], list[str]]:
    """Return scans and masks by name, and the names that have both."""
    scans, truths = _files(images, SUFFIXES), _files(masks, MASK_SUFFIXES)
    if images.resolve() == masks.resolve():
        raise InputError(f'{images}: is named for the scans and for the masks; expected two folders')
    paired = sorted(scans.keys() & truths.keys(), key=lambda name: natural_key(Path(name)))
    if not paired:
        raise InputError(
            f'{images}: none of its {len(scans)} scans has a mask of its name in {masks}; expected pairs, '
            f'masks as {", ".join(MASK_SUFFIXES)}'
        )
    return scans, truths, paired


def _write_pair(scan_path: Path, mask_path: Path, folder: Path, name: str) -> tuple[int, int]:
    """Write a scan and its mask into a folder; returns how many pixels are fluid, of how many."""
    scan, mask = read_scan(scan_path), read_mask(mask_path)
    if scan.shape != mask.shape:
        raise InputError(f'{mask_path}: has {_size(mask)} pixels; expected {_size(scan)}, as its scan {scan_path}')
    for kind, pixels in (('images', scan), ('annotations', mask)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        write_png(folder / kind / f'{name}.png', pixels)
    return int(mask.sum()), mask.size


def _folds(rows: Sequence[Mapping], images: str | os.PathLike) -> dict[str, Split]:
    """Return three splits by patient, balanced by their scans with fluid."""
    scans = [Scan(row['subject'], row['slice'], row['fluid_px_native'] > 0) for row in rows]
    patients = len({scan.subject for scan in scans})
    if patients < INNER_FOLDS:
        raise InputError(f'{images}: scans of {patients} patients; expected at least {INNER_FOLDS} for --folds (see --subject)')
    splits = {}
    for number, fold in enumerate(inner_folds(scans), start=1):
        inside = [row['subject'] in fold for row in rows]
        val = tuple(row['name'] for row, held in zip(rows, inside, strict=True) if held)
        train = tuple(row['name'] for row, held in zip(rows, inside, strict=True) if not held)
        splits[f'fold{number}'] = Split(train, val)
    return splits


def _compiled(subject: str) -> re.Pattern:
    try:
        pattern = re.compile(subject)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(f'--subject {subject!r}: not a regular expression ({error})') from error
    if not pattern.groups:
        raise InputError(f'--subject {subject!r}: has no group in parentheses; expected one that names the patient')
    return pattern


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found: dict[str, Path] = {}
    taken: dict[str, Path] = {}  # some systems do not tell a.png from A.png
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith('.'):
            continue
        other = taken.setdefault(path.stem.lower(), path)
        if other != path:
            raise InputError(f'{path}: {other.name} is there too; expected one file of each name')
        if not _NAME.fullmatch(path.stem):
            raise InputError(f'{path}: expected a name of letters, digits and . _ -')
        found[path.stem] = path
    return found


def _patients(names: list[str], pattern: re.Pattern, images: Path) -> dict[str, str]:
    patients = {}
    for name in names:
        match = pattern.fullmatch(name)
        groups = [group for group in match.groups() if group] if match else []
        if not groups:
            raise InputError(f'{images}/{name}: --subject {pattern.pattern!r} does not match; expected it to match all names')
        patients[name] = groups[0]
    spellings: dict[str, str] = {}
    for patient in patients.values():
        if (other := spellings.setdefault(patient.lower(), patient)) != patient:
            raise InputError(f'{images}: --subject names patients {other} and {patient}; expected one spelling of a patient')
    return patients


def _size(pixels: np.ndarray) -> str:
    return 'x'.join(map(str, pixels.shape))


def _is_earlier_conversion(folder: Path) -> bool:
    def is_ours(path: Path) -> bool:
        parts = path.parts
        return (
            path.as_posix() == 'index.csv'
            or _LIST.fullmatch(path.as_posix()) is not None
            or (len(parts) == 3 and parts[0] == SIZE_DIR and parts[1] in ('images', 'annotations') and path.suffix == '.png')
        )

    return is_earlier_conversion(folder, INDEX_COLUMNS, is_ours)
