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

from octfluid.io.scan import Spacing
from octfluid.utils.atomic import write_bytes, write_text

SCHEMA = 'octfluid.prediction/1'
MANIFEST, UNFINISHED = 'manifest.json', 'manifest.partial.json'
"""What a call of the command writes about itself, where its results are."""
_FORMULA = ('=', '+', '-', '@')
_START_OF_MANIFEST = 1 << 16


def holds_results(folder: Path) -> bool:
    """Return whether a call of the command has left its results in a folder: their masks would be taken for scans."""
    for name in (MANIFEST, UNFINISHED):
        if os.path.isfile(folder / name):  # not of a folder that may not be looked into
            with open(folder / name, 'rb') as file:
                if SCHEMA.encode() in file.read(_START_OF_MANIFEST):
                    return True
    return False


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a picture as PNG: uint8 or uint16, (H, W) or RGB (H, W, 3)."""
    flipped = image[:, :, ::-1] if image.ndim == 3 else image
    # Fast rather than small: a volume has hundreds of them.
    write_bytes(path, cv2.imencode('.png', flipped, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())


class NiftiWriter:
    """Writes a volume as NIfTI with axes (lateral, axial, slice), B-scan by B-scan: memory does not grow with it.

    Args:
        path: Ends in ``.nii.gz``; written in place, so that it belongs into a folder that is not yet where results are.
        shape: (Z, H, W).
        dtype: uint8 or float32.
        spacing: Scale. Without all three distances the file says that its unit is unknown.
        description: At most 79 characters.
        affine: (4, 4), of the file that the volume was read from, so that both lie in one place; None: distances alone.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype,
        spacing: Spacing | None,
        description: str,
        affine: np.ndarray | None = None,
    ) -> None:
        import nibabel

        known = spacing is not None and spacing.slice is not None
        zooms = (spacing.lateral, spacing.axial, spacing.slice) if known else (1.0, 1.0, 1.0)
        header = nibabel.Nifti1Header()
        header.set_data_dtype(dtype)
        header.set_data_shape(shape[::-1])
        header.set_sform(np.diag([*zooms, 1.0]) if affine is None else affine, code='scanner')
        header.set_zooms(zooms if affine is None else np.linalg.norm(affine[:3, :3], axis=0))
        header.set_xyzt_units('mm' if known else 'unknown')
        header['descrip'] = description.encode('ascii', 'replace')[:79]
        header['magic'], header['vox_offset'] = b'n+1', 352
        self._dtype = np.dtype(dtype)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Closed by `close`. Without the time, the same masks give the same file.
        self._file = gzip.GzipFile(path, 'wb', compresslevel=4, mtime=0)
        self._file.write(header.binaryblock + b'\0' * (352 - len(header.binaryblock)))

    def add(self, bscan: np.ndarray) -> None:
        """Write the next B-scan, (H, W): its rows are what lies side by side in the file."""
        self._file.write(np.ascontiguousarray(bscan, self._dtype.newbyteorder('<')).tobytes())

    def close(self) -> None:
        """End the file."""
        self._file.close()


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table of rows by column; what is missing or None is an empty cell, and no cell is a formula to a spreadsheet."""
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
    # Names of files may hold ends of lines, which would begin a row of their own, and what is no text.
    shown = ''.join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value)
    # An apostrophe keeps a spreadsheet from computing what a file's name says.
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
