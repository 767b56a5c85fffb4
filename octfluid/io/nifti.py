"""Reader of volumes in NIfTI."""

from pathlib import Path

import numpy as np

from octfluid.io.scan import Scan, gray_frames, require_volume, spacing_from
from octfluid.utils.errors import InputError

SUFFIXES = ('.nii', '.nii.gz')
_NO_UNIT = 'its NIfTI header does not say in what unit its distances are'
_ORDER = 'its first axis seems to be depth; expected (lateral, axial, slice): see the overlay, exchange the axes if it lies'
_TO_MM = {'meter': 1000.0, 'mm': 1.0, 'micron': 0.001}


def read_nifti(path: Path) -> Scan:
    """Read a NIfTI file with axes (lateral, axial, slice), as this package writes it, or (lateral, axial) for one B-scan."""
    import nibabel

    image = nibabel.load(path)
    shape = image.shape
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) == 2:
        shape = (*shape, 1)
    if len(shape) != 3:
        raise InputError(f'{path}: has shape {image.shape}; expected (lateral, axial, slice)')
    require_volume(path, *shape[::-1], image.get_data_dtype().itemsize)
    frames = gray_frames(np.asanyarray(image.dataobj).reshape(shape).T, path)
    zooms, unit = image.header.get_zooms()[:3], image.header.get_xyzt_units()[0]
    lateral, axial, between = (float(zoom) * _TO_MM.get(unit, 0) for zoom in (*zooms, 0)[:3])
    spacing = spacing_from(axial, lateral, between)
    why_not = 'the distances in its NIfTI header are no lengths' if unit in _TO_MM else _NO_UNIT
    if spacing and not np.allclose(nibabel.affines.voxel_sizes(image.affine)[: len(zooms)], zooms, rtol=0.01, atol=0):
        spacing, why_not = None, 'its NIfTI header gives two sizes of a voxel, by pixdim and by its affine'
    rows, columns = (np.mean([frame.mean(axis) for frame in frames], axis=0).std() for axis in (1, 0))
    depth_first = columns > 1.5 * rows or (spacing is not None and spacing.lateral < spacing.axial)  # layers lie flat
    return Scan(
        path,
        frames,
        is_volume=len(frames) > 1,
        spacing=spacing,
        why_no_scale=why_not,
        affine=image.affine,
        unit=unit,
        notes=(_ORDER,) if depth_first else (),
    )
