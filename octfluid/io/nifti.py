"""Reader of volumes in NIfTI, as research groups exchange them."""

import gzip
from pathlib import Path

import numpy as np

from octfluid.io.scan import Scan, gray_frames, require_bytes, require_volume, spacing_from
from octfluid.utils.errors import InputError

SUFFIXES = ('.nii', '.nii.gz')
_NO_UNIT = 'its NIfTI header does not say in what unit its distances are'
_TO_MM = {'meter': 1000.0, 'mm': 1.0, 'micron': 0.001}


def read_nifti(path: Path) -> Scan:
    """Read a NIfTI file with axes (lateral, axial, slice), as this package writes them, or (lateral, axial) for one B-scan."""
    import nibabel

    if path.name.lower().endswith('.gz'):
        held = 0
        with gzip.open(path) as file:  # counted before anything keeps it
            while part := file.read(1 << 20):
                held += len(part)
                require_bytes(path, held)
    image = nibabel.load(path)
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise InputError(f'{path}: has axes of {image.shape}; expected (lateral, axial, slice)')
    require_volume(path, *shape[::-1], image.get_data_dtype().itemsize)
    frames = gray_frames(np.asanyarray(image.dataobj).reshape(shape).T, path)
    zooms, scale = image.header.get_zooms(), _TO_MM.get(image.header.get_xyzt_units()[0])
    lateral, axial, between = (float(zoom) * (scale or 0) for zoom in (*zooms, 0)[:3])
    return Scan(
        path,
        frames,
        is_volume=len(frames) > 1,
        spacing=spacing_from(axial, lateral, between),
        why_no_scale='the distances in its NIfTI header are no lengths' if scale else _NO_UNIT,
        affine=image.affine,
    )
