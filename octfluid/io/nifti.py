"""Reader of volumes in NIfTI, as research groups exchange them."""

import gzip
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.gray import highest, to_gray, white_of
from octfluid.io.scan import Frames, Scan, require_frames, require_size, spacing_from
from octfluid.io.unpacked import most_unpacked, require_unpacked
from octfluid.utils.errors import InputError

SUFFIXES = ('.nii', '.nii.gz')
_NO_UNIT = 'its NIfTI header does not say in what unit its distances are'
_TO_MM = {'meter': 1000.0, 'mm': 1.0, 'micron': 0.001}


def read_nifti(path: Path) -> Scan:
    """Read a NIfTI file with axes (lateral, axial, slice), as this package writes them, or (lateral, axial) for one B-scan.

    Args:
        path: The file.

    Raises:
        InputError: It is no NIfTI, damaged, has other than two or three axes, or holds something other than gray values.
    """
    import nibabel

    try:
        held = _size(path)
        nibabel.imageglobals.logger.setLevel(logging.CRITICAL)  # what matters of it is said here
        image = nibabel.load(path)
        shape, header = image.shape, image.header
        values = _values(path, image, held)
        zooms, unit, affine = header.get_zooms(), header.get_xyzt_units()[0], image.affine
    except (InputError, PermissionError):
        raise
    except Exception as error:
        # nibabel and gzip raise what the damage leads to.
        raise InputError(f'{path}: not a NIfTI file, or cut short ({" ".join(str(error).split())[:120]})') from error
    white = white_of(values.dtype, highest(values, str(path)))
    scale = _TO_MM.get(unit)
    between = float(zooms[2]) * scale if scale and len(shape) > 2 else None
    spacing = spacing_from(float(zooms[1]) * scale, float(zooms[0]) * scale, between) if scale else None
    return Scan(
        path,
        Frames(values.shape[2], lambda place: to_gray(np.ascontiguousarray(values[:, :, place].T), white)),
        is_volume=values.shape[2] > 1,
        spacing=spacing,
        why_no_scale='the distances in its NIfTI header are no lengths' if scale else _NO_UNIT,
        affine=affine,
    )


def _size(path: Path) -> int:
    """Return how many bytes a file holds, unpacked; refuse one that swells beyond reason, before anything keeps them."""
    if not path.name.lower().endswith('.gz'):
        return path.stat().st_size
    held, most = 0, most_unpacked(path)
    with gzip.open(path) as file:
        while held <= most and (part := file.read(1 << 20)):
            held += len(part)
    require_unpacked(held, path)
    return held


def _values(path: Path, image: Any, held: int) -> np.ndarray:
    """Return the numbers as (lateral, axial, slice); ``held`` is how many bytes there can be of them."""
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3) or 0 in shape:
        raise InputError(f'{path}: has axes of {image.shape}; expected (lateral, axial, slice)')
    require_size(shape[1], shape[0], str(path))
    require_frames(shape[2] if len(shape) > 2 else 1, str(path))
    if math.prod(shape) * image.get_data_dtype().itemsize > held:
        raise InputError(f'{path}: has axes of {image.shape}, for which it is too short; it was cut short, fetch it again')
    values = np.asanyarray(image.dataobj).reshape((*shape, 1)[:3] if len(shape) == 2 else shape)
    if values.dtype.kind not in 'buif':
        raise InputError(f'{path}: holds {values.dtype} values; expected gray values')
    return values
