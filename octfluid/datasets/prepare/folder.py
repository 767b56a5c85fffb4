"""From a folder of scans and a folder of masks to a prepared data set: other devices, or your own scans to train on."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
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
_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]*')
_ENDING = re.compile(r'(.+)([._-][A-Za-z][A-Za-z0-9]*)')
_IMAGE_ENDINGS = ('', *(f'{mark}{word}' for mark in '._-' for word in ('image', 'img', 'oct', 'scan', 'bscan', 'raw')))
_FAR = 48  # gray levels; a tenth of the pixels of a JPEG mask may be further from a value of its mask
_WHITE = (1, 255, 65535)
_SHOWN, _JPEG = 12, ('.jpg', '.jpeg')  # values of masks that a message lists; masks that are blurred

Classes = Mapping[str, Sequence[int]] | None
"""Names of classes in the order of their labels, from 1, and the values of masks that belong to each."""


class FolderSummary(NamedTuple):
    """Number of pairs that were written, of those with fluid, and of patients; names of scans and masks without a partner.

    Then the splits, the endings of the names of scans and of masks, and the number of masks in JPEG.
    """

    scans: int
    with_fluid: int
    subjects: int
    without_mask: list[str]
    without_scan: list[str]
    splits: list[str]
    endings: tuple[str, str]
    jpeg: int


def prepare_folder(
    images: str | os.PathLike,
    masks: str | os.PathLike,
    out_dir: str | os.PathLike,
    subject: str | None = None,
    folds: bool = False,
    classes: Classes = None,
) -> FolderSummary:
    """Write ``native/{images,annotations}/<name>.png``, ``index.csv`` and the split ``all``.

    With ``folds`` also the splits ``fold1`` to ``fold3``, which divide the patients among them: each validates on a third.

    Scans are stored as 8-bit gray, at their own size, and masks as labels from 0. Nothing is resized.

    Args:
        images: Folder of gray scans, as `octfluid.io.images.read_image` reads them for a prediction.
        masks: Folder of masks with the names of their scans, or with one ending, such as ``_mask``, after these; it may be the
            same folder. See `read_mask`.
        out_dir: As for `Layout.new`.
        subject: Regular expression that a whole name matches; its first group that takes part names the patient. None: each
            scan is of a patient of its own, which ``folds`` does not take.
        folds: Write the three splits by patient, too.
        classes: Values of the masks by class; None: one class, fluid, which is 1 or white.

    Raises:
        InputError: No scan with a mask, fewer than three patients for folds, a name that is not unique, that ``subject`` does
            not match or that is not of letters, digits and ``. _ -``, a bad scan or mask, or a class without a pixel.
    """
    if folds and subject is None:
        raise InputError(
            '--folds: scans of one patient on both sides of a split let a network recognise eyes; expected --subject PATTERN, '
            'or --each-scan-is-a-patient if that is so'
        )
    if 0 in {value for values in (classes or {}).values() for value in values}:
        raise InputError('--fluid, --classes: 0 is the background; expected other values')
    scans, truths = _files(Path(images)), _files(Path(masks))
    pairs, endings = _paired(scans, truths)
    if not pairs:
        raise InputError(f'{images}: none of its {len(scans)} scans has a mask of its name in {masks}')
    patients = _patients(list(pairs), subject or '(.+)')
    if folds and len(set(patients)) < INNER_FOLDS:
        raise InputError(f'{images}: scans of {len(set(patients))} patients; expected at least {INNER_FOLDS} for --folds')
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(patients), start=1)}
    rows, graded, found, of_mask = [], [], {0}, [mask for _, mask in pairs.values()]
    with LAYOUT.new(out_dir) as folder:
        for (name, (scan_path, mask_path)), patient in tracked(zip(pairs.items(), patients, strict=True), len(pairs), 'scans'):
            image, mask = read_scan(scan_path), read_mask(mask_path, classes, of_mask)
            if orientation_of(scan_path) != orientation_of(mask_path):
                raise InputError(f'{mask_path}: EXIF turns it otherwise than {scan_path}; save both upright, without EXIF')
            if image.shape != mask.shape:
                raise InputError(f'{mask_path}: has {mask.shape} pixels; expected {image.shape}, as {scan_path}')
            write_png(folder / f'native/images/{name}.png', image)
            write_png(folder / f'native/annotations/{name}.png', mask)
            scan = GradedBScan(numbers[patient], patients[: len(rows)].count(patient), bool(mask.any()))
            rows.append((name, scan.subject, scan.slice, patient, int(np.count_nonzero(mask))))
            graded.append(scan)
            found.update(np.unique(mask).tolist())
        if absent := [name for label, name in enumerate(classes or {}, start=1) if label not in found]:
            raise InputError(f'{masks}: no pixel of {", ".join(absent)}; the masks hold {_listed(of_mask)}')
        splits = {ALL: Split(tuple(pairs), ()), **(_folds(list(pairs), graded) if folds else {})}
        LAYOUT.write_lists(folder, rows, splits)
    used = {path for pair in pairs.values() for path in pair}
    alone, lost = (sorted(name for name, path in files.items() if path not in used) for files in (scans, truths))
    jpeg = sum(path.suffix.lower() in _JPEG for path in of_mask)
    return FolderSummary(len(rows), sum(s.has_fluid for s in graded), len(numbers), alone, lost, list(splits), endings, jpeg)


def read_scan(path: Path) -> np.ndarray:
    """Return a scan as uint8 (H, W), as a prediction sees it; `InputError` for colours or several pages."""
    with reading(path):
        scan = read_image(path)
    if scan.is_volume or scan.coloured:
        raise InputError(f'{path}: has several pages, or pixels in colour; expected one gray B-scan')
    return whiten_filling(scan.frames[0])


def read_mask(path: Path, classes: Classes = None, others: Sequence[Path] = ()) -> np.ndarray:
    """Return the labels of a mask, uint8 (H, W): 1 for 1 or white, else 0; or those of ``classes``, 0 for any other value.

    A palette counts by its indices, unless it is of black and white alone: then white is 1, whatever its index. Colours count
    by their gray. In a JPEG each pixel counts as the nearest of black, white and the values of ``classes``.

    Raises:
        InputError: Other values than 0, and 1 or white, without ``classes``, or a JPEG of none of these values. The message
            counts the values of the masks ``others``, by default of this one.
    """
    pixels = _values_of(path)
    if path.suffix.lower() in _JPEG:
        if len(classes or ()) > 1:
            raise InputError(f'{path}: a JPEG blurs the borders of classes into others; save masks of several classes as PNG')
        levels = np.array(sorted({0, 255}.union(*(classes or {}).values())))
        distances = np.abs(pixels[..., None].astype(int) - levels)
        near = levels[distances.argmin(axis=2)]
        if (distances.min(axis=2) > _FAR).mean() > 0.1 or (pixels.any() and not near.any()):  # JPEG blurs 0 and 1
            raise InputError(f'{path}: a JPEG with values far from {levels}; the masks hold {_listed(others or [path])}')
        pixels = near
    if classes is None and not any(set(np.unique(pixels)) <= {0, white} for white in _WHITE):
        raise InputError(
            f'{path}: a mask of more than 0 and 1, or 0 and 255; the masks hold {_listed(others or [path])}; say which are '
            'fluid, as in --fluid 85 170, or of several classes, as in --classes irf=85 srf=170'
        )
    labels = np.zeros(pixels.shape, np.uint8)
    for label, values in enumerate((classes or {'fluid': _WHITE}).values(), start=1):
        labels[np.isin(pixels, values)] = label
    return labels


def _values_of(path: Path) -> np.ndarray:
    image = load_picture(path, upright=True)
    if image.mode == 'P':
        colours = np.asarray(image.convert('RGB'))
        black_and_white = np.isin(colours, (0, 255)).all() and not np.ptp(colours, axis=2).any()
        return colours[..., 0] // 255 if black_and_white else np.asarray(image)
    return np.asarray(image.convert('L') if image.mode in ('LA', 'RGB', 'RGBA') else image)


def _listed(paths: Sequence[Path]) -> str:
    counts: Counter[float] = Counter()
    for path in paths:
        counts.update(dict(zip(*map(np.ndarray.tolist, np.unique(_values_of(path), return_counts=True)), strict=True)))
    shown = [f'{value:g} ({number} px)' for value, number in counts.most_common(_SHOWN)]
    return ', '.join(shown + ['...'] * (len(counts) > _SHOWN))


def _folds(names: Sequence[str], scans: Sequence[GradedBScan]) -> dict[str, Split]:
    splits = {}
    for number, fold in enumerate(inner_folds(scans), start=1):
        held = [scan.subject in fold for scan in scans]
        sides = ([name for name, val in zip(names, held, strict=True) if val == side] for side in (False, True))
        splits[f'fold{number}'] = Split(*map(tuple, sides))
    return splits


def _paired(scans: Mapping[str, Path], truths: Mapping[str, Path]) -> tuple[dict[str, tuple[Path, Path]], tuple[str, str]]:
    pairs, ends = {}, ('', '')
    for (end, images), (other, masks) in product(_by_ending(scans), _by_ending(truths)):
        both = {name: (images[name], masks[name]) for name in images.keys() & masks.keys() if images[name] != masks[name]}
        if len(both) > len(pairs) and end.lower() in _IMAGE_ENDINGS:
            pairs, ends = both, (end, other)
    return dict(sorted(pairs.items(), key=lambda pair: natural_key(Path(pair[0])))), ends


def _by_ending(files: Mapping[str, Path]) -> list[tuple[str, dict[str, Path]]]:
    found = {'': dict(files)}
    for name, path in files.items():
        if match := _ENDING.fullmatch(name):
            found.setdefault(match[2], {})[match[1]] = path
    return list(found.items())


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f'{folder}: no such folder')
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith('.'):
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
