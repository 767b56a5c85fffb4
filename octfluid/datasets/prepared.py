"""What the dataset converters share: writing a mask or scan, and telling an earlier conversion from a user's folder."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from octfluid.utils.errors import InputError


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write uint8 (H, W) pixels as a PNG, inside an `octfluid.utils.atomic.atomic_folder`."""
    # Encoded in memory first: writing to a full disk, Pillow may raise an OSError without the system's reason.
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    path.write_bytes(buffer.getvalue())


def is_earlier_conversion(folder: Path, columns: Sequence[str], is_ours: Callable[[Path], bool]) -> bool:
    """Tell whether a folder is ours to replace: our ``index.csv`` and ``splits/``, and nothing that we did not write.

    An image or mask is ours if ``index.csv`` lists it.

    Args:
        folder: What stands where the conversion shall go.
        columns: The columns that our ``index.csv`` has.
        is_ours: Tells of a path relative to ``folder`` whether the converter gives that name to a file.

    Raises:
        InputError: It is ours but also holds a file of the user's, which replacing the folder would delete.
    """
    index = folder / 'index.csv'
    if not (index.is_file() and (folder / 'splits').is_dir()):
        return False
    header, _, lines = index.read_bytes().partition(b'\n')
    if header != ','.join(columns).encode():
        return False
    names = {line.partition(b',')[0].decode(errors='replace') for line in lines.splitlines()}
    files = (path.relative_to(folder) for path in sorted(folder.rglob('*')) if path.is_symlink() or not path.is_dir())
    # Images and masks, two folders down, may have names that we could have given, and yet be the user's.
    foreign = next((path for path in files if not is_ours(path) or (len(path.parts) == 3 and path.stem not in names)), None)
    if foreign is not None:
        raise InputError(
            f'{folder / foreign}: not made by this converter and would be deleted with the earlier conversion; move it '
            'elsewhere, or choose another --out'
        )
    return True
