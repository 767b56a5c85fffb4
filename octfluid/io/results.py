"""Writers of results: masks, probabilities, volumes in NIfTI, tables."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from octfluid.io.atomic import atomic_path, write_bytes, write_text
from octfluid.io.scan import Spacing

_FORMULA = ('=', '+', '-', '@', '\t', '\r')


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a picture as PNG: uint8 or uint16, (H, W) or RGB (H, W, 3)."""
    flipped = image[:, :, ::-1] if image.ndim == 3 else image
    # Fast rather than small: a volume has hundreds of them.
    write_bytes(path, cv2.imencode('.png', flipped, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())


def write_nifti(path: Path, volume: np.ndarray, spacing: Spacing | None, description: str) -> None:
    """Write a volume, (Z, H, W), as NIfTI with axes (lateral, axial, slice).

    Args:
        path: Ends in ``.nii.gz``.
        volume: uint8 or float32.
        spacing: Scale. Without all three distances the file says that its unit is unknown.
        description: At most 79 characters.
    """
    import nibabel

    known = spacing is not None and spacing.slice is not None
    zooms = (spacing.lateral, spacing.axial, spacing.slice) if known else (1.0, 1.0, 1.0)
    image = nibabel.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), np.diag([*zooms, 1.0]))
    image.header.set_xyzt_units('mm' if known else 'unknown')
    image.header['descrip'] = description.encode('ascii', 'replace')[:79]
    with atomic_path(path) as temporary:
        image.to_filename(temporary.with_name(temporary.name + '.nii.gz'))
        temporary.with_name(temporary.name + '.nii.gz').replace(temporary)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table; None is an empty cell, and no cell is a formula to a spreadsheet.

    Args:
        path: The file.
        columns: In order.
        rows: By column; what lacks one has an empty cell.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f'{value:.6g}'
    # An apostrophe keeps a spreadsheet from computing what a file's name says.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
