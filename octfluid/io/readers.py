"""The reader of each file type, and the scans in a user's files and folders."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path
from unicodedata import normalize

from octfluid.io import dicom, duke_mat, heidelberg, images, nifti, topcon
from octfluid.io.results import MANIFEST, holds_results
from octfluid.io.scan import Scan, raster_of, reading, spacing_from
from octfluid.utils.errors import InputError
from octfluid.utils.text import as_stored, require_file

_READERS: dict[str, Callable[[Path], Scan | list[Scan]]] = {
    **dict.fromkeys(images.SUFFIXES, images.read_image),
    **dict.fromkeys(dicom.SUFFIXES, dicom.read_dicom),
    **dict.fromkeys(nifti.SUFFIXES, nifti.read_nifti),
    '.mat': duke_mat.read_mat,
    **dict.fromkeys(topcon.SUFFIXES, topcon.read_fda),
    '.vol': heidelberg.read_vol,
    '.e2e': heidelberg.read_e2e,
    '.xml': heidelberg.read_xml,
}
SUFFIXES = tuple(_READERS)
"""Supported endings of file names, in small letters or capitals."""
_OF_VOLUMES = (*images.SUFFIXES, *dicom.SUFFIXES)
_IMPERSONAL = (*images.SUFFIXES, *nifti.SUFFIXES, '.mat')  # the others may hold names of patients


def suffix_of(path: Path) -> str | None:
    """Return the ending of a file's name from `SUFFIXES`, or None."""
    return next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if path.name.lower().endswith(suffix)), None)


def _kind_of(path: Path) -> str | None:
    """Return the result of `suffix_of`, or the suffix of DICOM for a DICOM file without one, as scanners write them."""
    if suffix := suffix_of(path):
        return suffix
    with suppress(PermissionError), open(path, 'rb') as file:  # in a folder, such a file is left out
        return dicom.SUFFIXES[0] if file.read(132)[128:] == b'DICM' else None


def read_scans(path: Path) -> list[Scan]:
    """Read the scans of a file: one, or one for each series.

    Raises:
        InputError: The file is missing, damaged, of an unsupported type, without a B-scan, or would be read wrongly.
        ModuleNotFoundError: The package for its type is not installed.
    """
    require_file(path)
    kind = _kind_of(path)
    if kind is None:
        raise InputError(f'{path}: unsupported file type; expected one of {", ".join(SUFFIXES)}')
    with reading(path, private=kind not in _IMPERSONAL):
        found = _READERS[kind](path)
    return found if isinstance(found, list) else [found]


def natural_key(path: Path) -> list:
    """Return a key that sorts names in natural order, ``b2`` before ``b10``, the same on every machine."""
    parts = re.split(r'(\d+)', path.name.lower())
    return [*((int(part), '') if part.isdecimal() else (-1, part) for part in parts), (0, path.name)]


@dataclass(frozen=True)
class Input:
    """One thing to read."""

    path: Path  # a file, or the folder of a volume
    name: str  # of its results, with the folders below the given one; unique among all inputs

    def read(self) -> list[Scan]:
        """Read it; see `read_scans` and `read_folder`."""
        return [read_folder(self.path)] if self.path.is_dir() else read_scans(self.path)


def find_inputs(paths: Sequence[Path], volume: bool = False, recursive: bool = False) -> tuple[list[Input], list[Path]]:
    """Return the inputs found in files and folders, each once, and the files with unsupported suffixes.

    The inputs of a folder, and with ``recursive`` of the folders below, are its files with one of `SUFFIXES` in natural order,
    or with ``volume`` the folder as one volume. Hidden files, links to folders and folders of earlier results are left out.

    Raises:
        InputError: A path does not exist, or a folder has no supported file or has results of an earlier call.
    """
    found: dict[Path, tuple[Path, Path]] = {}  # by place, so that links to one file are several inputs
    others: list[Path] = []
    for path in map(as_stored, paths):
        if os.path.isfile(path):
            found.setdefault(path.parent.resolve() / path.name, (path, Path(stem_of_file(path))))
            continue
        if not os.path.isdir(path):
            raise InputError(f'{path}: no such file or folder')
        if holds_results(path):
            raise InputError(f'{path}: holds results of an earlier call ({MANIFEST}); expected the folder of the scans')
        root, empty = path.resolve(), True
        for folder in _folders(path, recursive):
            scans, unread = _sorted_out(folder, volume)
            others += unread
            empty &= not scans
            here = folder.resolve()
            if volume and scans:
                found.setdefault(here, (folder, here.relative_to(root.parent)))
            for one in () if volume else scans:
                found.setdefault(here / one.name, (one, here.relative_to(root) / stem_of_file(one)))
        if empty:
            deeper = '' if recursive else '; --recursive looks into the folders below'
            raise InputError(f'{path}: nothing to read in this folder; expected files of {", ".join(SUFFIXES)}{deeper}')
    return _named(list(found.values())), others


def _sorted_out(folder: Path, volume: bool) -> tuple[list[Path], list[Path]]:
    wanted = _OF_VOLUMES if volume else SUFFIXES
    kinds = {entry: _kind_of(entry) if entry.is_file() else None for entry in _entries(folder) if not entry.is_dir()}
    scans = [entry for entry, kind in kinds.items() if kind in wanted]
    exports = {entry: heidelberg.pictures_of(entry) for entry in scans if kinds[entry] == '.xml'}
    pictures = set().union(*filter(None, exports.values()))
    scans = [entry for entry in scans if normalize('NFC', entry.name) not in pictures and exports.get(entry, set()) is not None]
    return scans, [entry for entry, kind in kinds.items() if kind not in wanted]


def _entries(folder: Path) -> list[Path]:
    return sorted((entry for entry in folder.iterdir() if not entry.name.startswith('.')), key=natural_key)


def _folders(folder: Path, recursive: bool) -> Iterator[Path]:
    yield folder
    for entry in _entries(folder) if recursive else ():
        if entry.is_dir() and not entry.is_symlink() and not holds_results(entry):
            yield from _folders(entry, recursive)


def stem_of_file(path: Path) -> str:
    """Return the name of a file's results: no path, and never empty, ``.`` or ``..``."""
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.name
    return stem if stem.strip('. ') else 'scan'


def _named(found: Sequence[tuple[Path, Path]]) -> list[Input]:
    """Give each input a unique name: its stem; if several share it, the stem with the suffix, then with a number."""
    stems = [normalize('NFC', stem.as_posix()) for _, stem in found]  # as macOS compares names
    shared = Counter(stem.lower() for stem in stems)
    named: dict[str, Input] = {}
    for (path, _), base in zip(found, stems, strict=True):
        if shared[base.lower()] > 1 and (suffix := suffix_of(path)):
            base += suffix.replace('.', '_')
        name = next(name for number in count(1) if (name := f'{base}_{number}' if number > 1 else base).lower() not in named)
        named[name.lower()] = Input(path, name)
    return list(named.values())


def read_folder(folder: Path) -> Scan:
    """Read a folder of pictures or DICOM files, one B-scan each, as a volume, in the order of DICOM's numbers or of names.

    Raises:
        InputError: A file is not a single B-scan, or their sizes differ.
    """
    paths, _ = _sorted_out(folder, volume=True)
    scans: list[Scan] = []
    for path in paths:
        (scan, *more) = read_scans(path)
        if more or len(scan.frames) != 1:
            raise InputError(f'{path}: holds several B-scans; expected one in each file of a volume')
        scans.append(replace(scan, frames=[scan.frames[0]]))  # each file is decoded once
        (height, width), first = scans[-1].frames[0].shape, scans[0].frames[0].shape
        if (height, width) != first:
            raise InputError(f'{path}: {height}x{width} pixels, unlike the {first[0]}x{first[1]} of {paths[0].name}')
    orders = [scan.order for scan in scans]
    if None not in orders and len(set(orders)) == len(orders):  # files of a series say which is which; names do not
        scans.sort(key=lambda scan: scan.order)
    shared = {'scale': {scan.spacing for scan in scans}, 'side': {scan.laterality for scan in scans}}
    notes = {note for scan in scans for note in scan.notes}
    notes |= {f'its files differ in {what}: none is used' for what, values in shared.items() if len(values) > 1}
    if scans[0].ends[0] is None and (gap := _gap(paths)):  # positions say more
        notes.add(f'the numbers in the file names leave a gap before {gap}; distances are taken as equal')
    spacing, laterality = (values.pop() if len(values) == 1 else None for values in shared.values())
    starts, ends = zip(*(scan.ends for scan in scans), strict=True)
    raster = raster_of(starts, ends if all(ends) else None, spacing and spacing.slice)
    return Scan(
        folder,
        [scan.frames[0] for scan in scans],
        is_volume=True,
        spacing=spacing and spacing_from(spacing.axial, spacing.lateral, raster.distance),
        raster=raster,
        laterality=laterality,
        device=scans[0].device,
        identifiers=scans[0].identifiers,
        coloured=max(scan.coloured for scan in scans),
        notes=tuple(sorted(notes)),
        files=tuple(scan.path.name for scan in scans),
    )


def _gap(paths: Sequence[Path]) -> str | None:
    """Return the first file after a gap in the numbering, or None."""
    numbers = [re.findall(r'\d+', path.stem) for path in paths]
    if len(paths) < 3 or not all(numbers):
        return None
    steps = [int(after[-1]) - int(before[-1]) for before, after in pairwise(numbers)]
    usual = Counter(steps).most_common(1)[0][0]
    return next((path.name for path, step in zip(paths[1:], steps, strict=True) if step != usual), None)
