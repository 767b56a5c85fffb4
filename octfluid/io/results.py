"""Writers of results: masks, probabilities, volumes in NIfTI, tables."""

import csv
import gzip
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from octfluid.io.scan import Spacing
from octfluid.utils.atomic import write_text

SCHEMA = 'octfluid.prediction/1'
MANIFEST, UNFINISHED = 'manifest.json', 'manifest.partial.json'
"""Files that describe a call of the command, next to its results."""
_FORMULA = ('=', '+', '-', '@')


def holds_results(folder: Path) -> bool:
    """Return whether a folder has results of the command, since readers would read their masks as scans."""
    there = [folder / name for name in (MANIFEST, UNFINISHED) if os.path.isfile(folder / name)]
    return any(SCHEMA.encode() in path.read_bytes() for path in there)


def write_png(path: Path, image: np.ndarray, colours: int | None = None, fast: bool = False) -> None:
    """Write a picture as PNG: uint8 or uint16, (H, W) or RGB (H, W, 3).

    ``colours`` gives an RGB picture a palette of so many colours. ``fast`` takes a third of the time for an overlay.
    """
    content = io.BytesIO()  # Pillow may raise an OSError without the system's reason where it writes to a full disk
    if fast:
        flipped = image[:, :, ::-1] if image.ndim == 3 else image
        content.write(cv2.imencode('.png', flipped, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1])
    else:
        picture = Image.fromarray(image)
        if colours:  # without dithering, whose noise neither helps the eye nor compresses
            picture = picture.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        picture.save(content, 'PNG', optimize=bool(colours))
    path.write_bytes(content.getvalue())


def write_nifti(
    path: Path, volume: np.ndarray, label: str, spacing: Spacing | None, affine: np.ndarray | None = None, unit: str = 'unknown'
) -> None:
    """Write a volume, uint8 or float32 (Z, H, W), as ``.nii.gz`` with axes (lateral, axial, slice).

    ``affine`` (4, 4) and its ``unit`` ('mm', 'micron', 'meter', 'unknown') are those of the file of the scan, so that viewers
    show both at one place. Without an affine, the unit is mm if all three distances of ``spacing`` are known, else unknown. The
    header keeps at most 79 characters of the label.
    """
    import nibabel

    known = spacing is not None and spacing.slice is not None
    zooms = (spacing.lateral, spacing.axial, spacing.slice) if known else (1.0, 1.0, 1.0)
    header = nibabel.Nifti1Header()
    header.set_data_dtype(volume.dtype)
    header.set_data_shape(volume.shape[::-1])
    header.set_sform(np.diag([*zooms, 1.0]) if affine is None else affine, code='scanner')
    header.set_zooms(zooms if affine is None else np.linalg.norm(affine[:3, :3], axis=0))
    header.set_xyzt_units(unit if affine is not None else 'mm' if known else 'unknown')
    header['descrip'] = label.encode('ascii', 'replace')[:79]
    header['magic'], header['vox_offset'] = b'n+1', 352
    with gzip.GzipFile(path, 'wb', compresslevel=4, mtime=0) as file:  # without the time, the same masks give the same file
        file.write(header.binaryblock + bytes(352 - len(header.binaryblock)))
        file.write(np.ascontiguousarray(volume, volume.dtype.newbyteorder('<')).tobytes())


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of rows by column; missing values and None are empty cells, and no cell is a formula in spreadsheets."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f'{value:.6g}'
    if not isinstance(value, str):
        return value
    # Names of files may have line ends, which would begin a new row, and unprintable characters.
    shown = ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value)
    # An apostrophe keeps a spreadsheet from computing a file's name.
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
