"""From the published HRF photographs and vessel masks to the prepared data set that configs read.

Photographs stay the JPEG files they are published as: as PNG they would take ten times the space.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from octfluid.datasets.prepare.common import Layout
from octfluid.datasets.splits import Split
from octfluid.io.images import load_picture
from octfluid.io.results import write_png
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError

# Healthy eyes, eyes with diabetic retinopathy, eyes with glaucoma: 15 in each group, each of another person. The usual split
# trains on eyes 1..5 of each group and validates on the others.
GROUPS, TRAINING_EYES, PUBLISHED = ('h', 'dr', 'g'), 5, 45
LAYOUT = Layout(
    columns=('name', 'subject', 'slice', 'group', 'vessel_px'),
    sizes=('native',),
    lists=r'usual_(train|val)\.txt',
    image_suffix='.jpg',
)
_NAME = re.compile(r'(\d{2})_(h|dr|g)')
_VESSEL_FROM = 128
_HOW_TO_GET = 'get it with: bash scripts/download_data.sh hrf'


class PrepareSummary(NamedTuple):
    """The folder that was read, the names of both sides, and the share of all pixels that are vessel, 0..1."""

    folder: Path
    split: Split
    vessel_share: float


def prepare(raw_dir: str | os.PathLike, out_dir: str | os.PathLike) -> PrepareSummary:
    """Copy the photographs that have a mask, write the masks as 0/1, and write ``index.csv`` and the usual split.

    ``native/images/<name>.jpg`` has the bytes of the published file, ``native/annotations/<name>.png`` is 1 where the
    published mask is 128 or more (pixel // 128, as MMSegmentation's converter). A subject's number is the eye's, plus 100 with
    retinopathy, plus 200 with glaucoma. The same input gives the same bytes.
    Folders ``images`` and ``manual1`` may lie one folder below ``raw_dir``.

    Raises:
        InputError: Nothing to train or to validate on, a damaged mask or one that is not two-valued, or an ``out_dir`` with
            other content (`Layout.new`).
    """
    folder = _find_folder(Path(raw_dir))
    images, masks = _files_by_eye(folder / 'images', '.jpg'), _files_by_eye(folder / 'manual1', '.tif')
    paired = sorted(images.keys() & masks.keys())
    split = Split(*(tuple(_name(eye) for eye in paired if (eye[1] > TRAINING_EYES) == later) for later in (False, True)))
    if not (split.train and split.val):
        numbers = '01..05' if not split.train else '06..15'
        raise InputError(f'{folder}: no photograph {numbers} with a mask; expected the whole data set ({_HOW_TO_GET})')
    rows, pixels = [], 0
    with LAYOUT.new(out_dir) as new:
        for eye in tracked(paired, len(paired), 'converting photographs'):
            name, mask = _name(eye), _read_mask(masks[eye])
            (new / f'native/images/{name}.jpg').write_bytes(images[eye].read_bytes())
            write_png(new / f'native/annotations/{name}.png', mask)
            rows.append((name, 100 * eye[0] + eye[1], 0, GROUPS[eye[0]], int(mask.sum())))
            pixels += mask.size
        LAYOUT.write_lists(new, rows, {'usual': split})
    return PrepareSummary(folder, split, sum(row[-1] for row in rows) / pixels)


def _find_folder(raw: Path) -> Path:
    for folder in (raw, *sorted(raw.glob('*'))):
        if (folder / 'images').is_dir() and (folder / 'manual1').is_dir():
            return folder
    raise InputError(f'{raw}: no folders images and manual1 in it or one level down ({_HOW_TO_GET})')


def _files_by_eye(folder: Path, suffix: str) -> dict[tuple[int, int], Path]:
    matches = {path: _NAME.fullmatch(path.stem.lower()) for path in folder.iterdir() if path.suffix.lower() == suffix}
    return {(GROUPS.index(match[2]), int(match[1])): path for path, match in sorted(matches.items()) if match}


def _name(eye: tuple[int, int]) -> str:
    return f'{eye[1]:02d}_{GROUPS[eye[0]]}'


def _read_mask(mask_path: Path) -> np.ndarray:
    mask = load_picture(mask_path)
    values = mask.getcolors() if mask.mode == 'L' else []  # of 256 at most
    low, *high = sorted(value for _, value in values) or [0]
    if len(high) != 1 or not low < _VESSEL_FROM <= high[0]:
        raise InputError(f'{mask_path}: expected an 8-bit gray mask of two values, 0 for background and 255 for vessel')
    return np.asarray(mask) // _VESSEL_FROM
