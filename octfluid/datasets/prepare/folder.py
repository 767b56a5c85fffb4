"""From a folder of scans and a folder of masks to a prepared data set: other devices, or your own scans to train on."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from octfluid.datasets.prepare.common import Layout
from octfluid.datasets.splits import ALL, INNER_FOLDS, GradedBScan, Split, inner_folds
from octfluid.io.images import SUFFIXES, load_picture, orientation_of, read_image
from octfluid.io.readers import natural_key
from octfluid.io.results import write_png
from octfluid.io.scan import reading, whiten_filling
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError

LAYOUT = Layout(
    columns=('name', 'subject', 'slice', 'group', 'fluid_px_native'),
    sizes=('native',),
    lists=rf'(all_train|fold[1-{INNER_FOLDS}]_(train|val))\.txt',
)
MASK_SUFFIXES = ('.png', '.tif', '.tiff', '.bmp')
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')


class FolderSummary(NamedTuple):
    """Number of pairs that were written, of those with fluid, and of patients; names of scans and masks without a partner."""

    scans: int
    with_fluid: int
    subjects: int
    without_mask: list[str]
    without_scan: list[str]
    splits: list[str]


def prepare_folder(
    images: str | os.PathLike, masks: str | os.PathLike, out_dir: str | os.PathLike, subject: str = '(.+)', folds: bool = False
) -> FolderSummary:
    """Write ``native/{images,annotations}/<name>.png``, ``index.csv`` and the split ``all``.

    With ``folds`` also the splits ``fold1`` to ``fold3``, which divide the patients among them: each validates on a third.

    Scans are stored as 8-bit gray, at their own size, and masks as 0 and 1. Nothing is resized.

    Args:
        images: Folder of gray scans, as `octfluid.io.images.read_image` reads them for a prediction.
        masks: Folder of masks with the names of their scans: 0, and 1 or 255 for fluid.
        out_dir: As for `Layout.new`.
        subject: Regular expression that a whole name matches; its first group that takes part names the patient. By default
            each scan is of a patient of its own.
        folds: Write the three splits by patient, too.

    Raises:
        InputError: No scan with a mask, fewer than three patients for folds, a name that is not unique, that ``subject`` does
            not match or that is not of letters, digits and ``. _ -``, or a bad scan or mask.
    """
    scans, truths = _files(Path(images), SUFFIXES), _files(Path(masks), MASK_SUFFIXES)
    paired = sorted(scans.keys() & truths.keys(), key=lambda name: natural_key(Path(name)))
    if not paired:
        raise InputError(f'{images}: none of its {len(scans)} scans has a mask of its name in {masks}')
    patients = _patients(paired, subject)
    if folds and len(set(patients)) < INNER_FOLDS:
        raise InputError(f'{images}: scans of {len(set(patients))} patients; expected at least {INNER_FOLDS} for --folds')
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients), start=1)}
    rows, graded = [], []
    with LAYOUT.new(out_dir) as folder:
        for name, patient in tracked(zip(paired, patients, strict=True), len(paired), 'scans'):
            image, mask = read_scan(scans[name]), read_mask(truths[name])
            if orientation_of(scans[name]) != orientation_of(truths[name]):
                how = 'save both as they are seen, without EXIF'
                raise InputError(f'{truths[name]}: is shown turned otherwise (EXIF orientation) than {scans[name]}; {how}')
            if image.shape != mask.shape:
                raise InputError(f'{truths[name]}: has {mask.shape} pixels; expected {image.shape}, as {scans[name]}')
            write_png(folder / f'native/images/{name}.png', image)
            write_png(folder / f'native/annotations/{name}.png', mask)
            scan = GradedBScan(numbers[patient], patients[: len(rows)].count(patient), bool(mask.any()))
            rows.append((name, scan.subject, scan.slice, patient, int(mask.sum())))
            graded.append(scan)
        splits = {ALL: Split(tuple(paired), ()), **(_folds(paired, graded) if folds else {})}
        LAYOUT.write_lists(folder, rows, splits)
    alone, lost = sorted(scans.keys() - truths.keys()), sorted(truths.keys() - scans.keys())
    with_fluid = sum(scan.has_fluid for scan in graded)
    return FolderSummary(len(rows), with_fluid, len(numbers), alone, lost, list(splits))


def read_scan(path: Path) -> np.ndarray:
    """Return a scan as uint8 (H, W), as a prediction sees it; `InputError` for colours or several pages."""
    with reading(path):
        scan = read_image(path)
    if scan.is_volume or scan.coloured:
        raise InputError(f'{path}: has several pages, or pixels in colour; expected one gray B-scan')
    return whiten_filling(scan.frames[0])


def read_mask(path: Path) -> np.ndarray:
    """Return a mask of 0, and 1 or white, as uint8 (H, W) of 0 and 1; `InputError` for one with other values."""
    image = load_picture(path, upright=True)
    # The numbers of a palette mean nothing; its colours are what is seen.
    pixels = np.asarray(image.convert('L') if image.mode in ('P', 'LA', 'RGB', 'RGBA') else image)
    values = np.unique(pixels)
    if not any(set(values) <= {0, fluid} for fluid in (1, 255, 65535)):
        raise InputError(f'{path}: a mask with the values {", ".join(map(str, values[:6]))}; expected 0 and 1, or 0 and 255')
    return (pixels > 0).astype(np.uint8)


def _folds(names: Sequence[str], scans: Sequence[GradedBScan]) -> dict[str, Split]:
    splits = {}
    for number, fold in enumerate(inner_folds(scans), start=1):
        held = [scan.subject in fold for scan in scans]
        sides = ([name for name, val in zip(names, held, strict=True) if val == side] for side in (False, True))
        splits[f'fold{number}'] = Split(*map(tuple, sides))
    return splits


def _files(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith('.'):
            continue
        if path.stem in found:
            raise InputError(f'{path}: {found[path.stem].name} is there too; expected one file of each name')
        if not _NAME.fullmatch(path.stem):
            raise InputError(f'{path}: expected a name of letters, digits and . _ -')
        found[path.stem] = path
    return found


def _patients(names: Sequence[str], subject: str) -> list[str]:
    try:
        pattern = re.compile(subject)
    except re.error as error:
        raise InputError(f'--subject {subject!r}: not a regular expression ({error})') from error
    patients, spellings = [], {}
    for name in names:
        match = pattern.fullmatch(name)
        if not (groups := [group for group in match.groups() if group] if match else []):
            raise InputError(f'--subject {subject!r}: names no patient for {name}; expected a group in parentheses to do so')
        patients.append(groups[0])
        if (other := spellings.setdefault(groups[0].lower(), groups[0])) != groups[0]:
            raise InputError(f'--subject {subject!r}: names patients {other} and {groups[0]}; expected one spelling')
    return patients
