"""From the published HRF photographs and vessel masks to the prepared data set that configs read.

The layout is that of `octfluid.datasets.integrity`, with the photographs as the JPEG files they are published as: written
again as PNG they would take ten times the space and hold the same pixels.
"""

import csv
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octfluid.datasets.prepared import is_earlier_conversion, write_png
from octfluid.datasets.splits import Split, write_splits
from octfluid.io.images import load_picture
from octfluid.utils.atomic import atomic_folder
from octfluid.utils.errors import InputError

GROUPS = ('h', 'dr', 'g')
"""Healthy eyes, eyes with diabetic retinopathy, eyes with glaucoma, in the order in which their subjects are numbered."""

EYES = 15
"""Eyes in each group, numbered from 1; each is of another person."""

TRAINING_EYES = 5
"""The usual split trains on eyes 1..5 of each group and validates on the others."""

SIZE_DIR = 'native'
SPLIT = 'usual'
INDEX_COLUMNS = ('name', 'subject', 'slice', 'group', 'vessel_px')
_IMAGES, _MASKS = 'images', 'manual1'
_NAME = re.compile(r'(\d{2})_(h|dr|g)')
_SUFFIXES = {_IMAGES: ('.jpg', '.jpeg'), _MASKS: ('.tif', '.tiff')}
_HOW_TO_GET = 'get it with: bash scripts/download_data.sh hrf'
_VESSEL_FROM = 128


@dataclass(frozen=True, order=True)
class Photograph:
    """One photograph with its mask.

    Attributes:
        group: Position in `GROUPS`.
        eye: Number within the group, from 1.
        image: The photograph's file.
        mask: The mask's file.
    """

    group: int
    eye: int
    image: Path
    mask: Path

    @property
    def name(self) -> str:
        """File name without suffix, such as ``01_dr``."""
        return f'{self.eye:02d}_{GROUPS[self.group]}'

    @property
    def subject(self) -> int:
        """A number that no other person has: the eye's, plus 100 with retinopathy, plus 200 with glaucoma."""
        return 100 * self.group + self.eye


@dataclass(frozen=True)
class Pairing:
    """What a raw folder holds.

    Attributes:
        folder: The folder with ``images`` and ``manual1``.
        photographs: Those with a mask, by group and number.
        left_out: One line for each file that takes no part, with the reason.
        absent: Names of the published photographs of which there is neither photograph nor mask.
    """

    folder: Path
    photographs: tuple[Photograph, ...]
    left_out: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class PrepareSummary:
    """What a conversion found and where it put the result.

    Attributes:
        pairing: What was in the raw folder.
        train: Number of photographs to train on.
        val: Number of photographs to validate on.
        vessel_share: Share of all pixels that are vessel, 0..1.
        out_dir: The prepared data set.
    """

    pairing: Pairing
    train: int
    val: int
    vessel_share: float
    out_dir: Path


def prepare(
    raw_dir: str | os.PathLike, out_dir: str | os.PathLike, progress: Callable[[int, int], None] | None = None
) -> PrepareSummary:
    """Copy the photographs unchanged, write the masks as 0/1, and write ``index.csv`` and the usual split.

    ``native/images/<name>.jpg`` has the bytes of the published file, ``native/annotations/<name>.png`` is 1 where the
    published mask is 128 or more (pixel // 128, as MMSegmentation's converter). The same input gives the same bytes, and
    ``out_dir`` changes only at the very end: an interrupted or failed conversion leaves it as it was.

    Args:
        raw_dir: Folder with ``images`` and ``manual1``, or with one folder that holds them.
        out_dir: Created, or replaced if it holds nothing but an earlier conversion.
        progress: Called with (photographs done, photographs in all) before the first and after each.

    Raises:
        InputError: Nothing to convert, nothing to train or to validate on, a damaged file, a photograph and a mask of
            different size, a mask that is not two-valued, or an ``out_dir`` with other content.
        OSError: Reading or writing failed, such as a full disk.
    """
    pairing = find_photographs(raw_dir)
    split = usual_split(pairing)
    report = progress or (lambda done, total: None)
    rows, vessel, pixels = [], 0, 0
    with atomic_folder(out_dir, _is_earlier_conversion) as folder:
        for kind in ('images', 'annotations'):
            (folder / SIZE_DIR / kind).mkdir(parents=True)
        report(0, len(pairing.photographs))
        for done, photograph in enumerate(pairing.photographs, start=1):
            mask = _read_pair(photograph)
            (folder / SIZE_DIR / 'images' / f'{photograph.name}.jpg').write_bytes(photograph.image.read_bytes())
            write_png(folder / SIZE_DIR / 'annotations' / f'{photograph.name}.png', mask)
            rows.append((photograph.name, photograph.subject, 0, GROUPS[photograph.group], int(mask.sum())))
            vessel, pixels = vessel + rows[-1][-1], pixels + mask.size
            report(done, len(pairing.photographs))
        with open(folder / 'index.csv', 'w', newline='', encoding='utf-8') as file:
            csv.writer(file, lineterminator='\n').writerows([INDEX_COLUMNS, *rows])
        write_splits(folder / 'splits', {SPLIT: split})
    return PrepareSummary(pairing, len(split.train), len(split.val), vessel / pixels, Path(out_dir))


def find_photographs(raw_dir: str | os.PathLike) -> Pairing:
    """Pair the photographs of a folder, or of the one folder in it, with their masks. No file is opened.

    Args:
        raw_dir: Where to look.

    Raises:
        InputError: No such folder, nothing in it, several folders or files that could be meant, or no pair.
    """
    folder = _find_folder(Path(raw_dir))
    left_out: list[str] = []
    images, masks = (_files_by_name(folder / kind, _SUFFIXES[kind], left_out) for kind in (_IMAGES, _MASKS))
    left_out += [
        f'{images[key]}: has no mask {folder / _MASKS / _text(key)}.tif' for key in sorted(images.keys() - masks.keys())
    ]
    left_out += [
        f'{masks[key]}: has no photograph {folder / _IMAGES / _text(key)}.jpg' for key in sorted(masks.keys() - images.keys())
    ]
    photographs = [Photograph(*key, images[key], masks[key]) for key in sorted(images.keys() & masks.keys())]
    if not photographs:
        raise InputError(
            f'{folder}: no photograph with a mask; expected {_IMAGES}/01_h.jpg with {_MASKS}/01_h.tif and so on ({_HOW_TO_GET})'
        )
    published = [(group, eye) for group in range(len(GROUPS)) for eye in range(1, EYES + 1)]
    absent = [_text(key) for key in published if key not in images and key not in masks]
    return Pairing(folder, tuple(photographs), tuple(left_out), tuple(absent))


def usual_split(pairing: Pairing) -> Split:
    """Return the usual split of what is there: eyes 1..5 of each group train, the others validate.

    Raises:
        InputError: One side is empty.
    """
    sides = [[p.name for p in pairing.photographs if (p.eye <= TRAINING_EYES) == training] for training in (True, False)]
    for names, numbers, purpose in zip(sides, ('01..05', '06..15'), ('train', 'validate'), strict=True):
        if not names:
            raise InputError(
                f'{pairing.folder}: no photograph {numbers} of any group, so nothing to {purpose} on; '
                f'expected the whole data set ({_HOW_TO_GET})'
            )
    return Split(tuple(sides[0]), tuple(sides[1]))


def _find_folder(raw: Path) -> Path:
    if not raw.is_dir():
        raise InputError(f'{raw}: no such folder; expected the folder that holds {_IMAGES} and {_MASKS} ({_HOW_TO_GET})')
    folders = [raw] if _has_both(raw) else [folder for folder in sorted(raw.iterdir()) if folder.is_dir() and _has_both(folder)]
    if not folders:
        raise InputError(f'{raw}: no folders {_IMAGES} and {_MASKS} in it or one level down ({_HOW_TO_GET})')
    if len(folders) > 1:
        raise InputError(f'{raw}: HRF photographs in several folders: {", ".join(f.name for f in folders)}; name one of them')
    return folders[0]


def _has_both(folder: Path) -> bool:
    return (folder / _IMAGES).is_dir() and (folder / _MASKS).is_dir()


def _files_by_name(folder: Path, suffixes: tuple[str, ...], left_out: list[str]) -> dict[tuple[int, int], Path]:
    """Return the files of one folder by (group, eye); the suffix may be in either case, as in the published archive."""
    found: dict[tuple[int, int], Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith('.'):
            continue
        match = _NAME.fullmatch(path.stem.lower()) if path.suffix.lower() in suffixes else None
        if match is None:
            left_out.append(f'{path}: expected a name such as 01_dr{suffixes[0]}')
            continue
        key = GROUPS.index(match[2]), int(match[1])
        if found.setdefault(key, path) != path:
            raise InputError(f'{folder}: {found[key].name} and {path.name} are both {_text(key)}; remove one')
    return found


def _text(key: tuple[int, int]) -> str:
    return f'{key[1]:02d}_{GROUPS[key[0]]}'


def _read_pair(photograph: Photograph) -> np.ndarray:
    """Check a photograph and its mask; return the mask as uint8 (H, W) of 0 and 1."""
    image = load_picture(photograph.image)
    if image.format != 'JPEG' or image.mode != 'RGB':
        raise InputError(f'{photograph.image}: is a {image.mode} image in {image.format} format; expected an RGB JPEG')
    size, image = image.size, load_picture(photograph.mask)
    if image.size != size:
        raise InputError(
            f'{photograph.mask}: is {image.size[1]}x{image.size[0]} (height x width); expected {size[1]}x{size[0]}, '
            f'the size of {photograph.image}'
        )
    mask = np.asarray(image)
    if mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    if mask.ndim == 3 and (mask == mask[..., :1]).all():
        mask = mask[..., 0]
    return _binary(mask, photograph.mask)


def _binary(mask: np.ndarray, path: Path) -> np.ndarray:
    if mask.dtype != np.uint8 or mask.ndim != 2:
        raise InputError(f'{path}: has {mask.dtype} pixels of shape {mask.shape}; expected an 8-bit gray mask of 0 and 255')
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    if len(values) != 2 or not values[0] < _VESSEL_FROM <= values[1]:
        shown = ', '.join(map(str, values[:8])) + (', ...' if len(values) > 8 else '')
        raise InputError(f'{path}: holds the values {shown}; expected two values, 0 for background and 255 for vessel')
    return mask // _VESSEL_FROM


def _is_earlier_conversion(folder: Path) -> bool:
    return is_earlier_conversion(folder, INDEX_COLUMNS, _is_ours)


def _is_ours(path: Path) -> bool:
    match path.parts:
        case ('index.csv',):
            return True
        case ('splits', name):
            return name in (f'{SPLIT}_train.txt', f'{SPLIT}_val.txt')
        case ('native', 'images', _):
            return path.suffix == '.jpg' and _NAME.fullmatch(path.stem) is not None
        case ('native', 'annotations', _):
            return path.suffix == '.png' and _NAME.fullmatch(path.stem) is not None
    return False
