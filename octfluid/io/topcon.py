"""Reader of Topcon ``.fda`` files, through eyepy and OCT-Converter."""

import contextlib
import io
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from octfluid.io.gray import highest, to_gray, white_of
from octfluid.io.heidelberg import parsed
from octfluid.io.images import require_few_passes
from octfluid.io.scan import MOST_PIXELS, Frames, Scan, require_size, spacing_from
from octfluid.io.unpacked import require_unpacked
from octfluid.utils.errors import InputError

SUFFIXES = ('.fda',)


_MOST_CHUNKS = 100
_PICTURES = ('JPEG', 'JPEG2000', 'PNG', 'BMP')


class _Pictures:
    """Opens what OCT-Converter takes for the pictures in a file: nothing but pictures, and of no more than a scan's size."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, 0

    def open(self, stream: io.BytesIO) -> Image.Image:
        """Open a picture, and count its bytes among those of all of the file."""
        require_few_passes(stream, self.path)
        stream.seek(0)
        image = Image.open(stream, formats=_PICTURES)
        if image.width * image.height > MOST_PIXELS:
            raise InputError(f'{self.path}: a picture of {image.height}x{image.width} pixels; it is damaged, export it again')
        self.size += image.width * image.height * len(image.getbands())
        require_unpacked(self.size, self.path)
        return image


class _Numpy:
    """NumPy with the reading of bytes that OCT-Converter still calls by its old name."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def fromstring(content: bytes, dtype: Any = float) -> np.ndarray:
        """Return numbers from bytes."""
        return np.frombuffer(content, dtype).copy()


def read_fda(path: Path) -> Scan:
    """Read the OCT volume of an ``.fda`` file. It is not known from it here which eye it is.

    Raises:
        InputError: It is damaged or of another kind.
        ModuleNotFoundError: eyepy or OCT-Converter is not installed.
    """
    from eyepy.io.import_functions import import_topcon_fda
    from oct_converter.readers import fda

    parsed(path, 'Topcon .fda', lambda: _check_chunks(path))
    fda.np, fda.Image = _Numpy(), _Pictures(path)
    with contextlib.redirect_stdout(io.StringIO()):  # OCT-Converter prints what it finds, persons among it
        volume = parsed(path, 'Topcon .fda', lambda: import_topcon_fda(path))
    values = np.asarray(volume.data)
    if values.ndim != 3 or values.dtype.kind not in 'uif':
        raise InputError(f'{path}: its B-scans are no gray pictures of one size; it is damaged, export it again')
    require_size(*values.shape[1:], str(path))
    white = white_of(values.dtype, highest(values, str(path)))
    return Scan(
        path,
        Frames(len(values), lambda place: to_gray(values[place], white)),
        is_volume=len(values) > 1,
        spacing=spacing_from(volume.scale_y, volume.scale_x, volume.scale_z),
        device='Topcon',
    )


def _check_chunks(path: Path) -> None:
    """Refuse a file of more parts than a scan has, and parts of more numbers than they hold, for all of which room is made."""
    with open(path, 'rb') as file:
        if file.read(4) != b'FOCT':
            raise InputError(f'{path}: not a Topcon .fda file, which begins with FOCT; expected one as the device exports it')
        end = file.seek(0, io.SEEK_END)
        place = file.seek(15)
        for number in itertools.count():
            name = file.read(file.read(1)[0])
            if not name:
                return
            (size,) = struct.unpack('<I', file.read(4))
            place = file.tell() + size
            if number == _MOST_CHUNKS or place > end:
                raise InputError(f'{path}: of more or larger parts than it holds; it is damaged, export it again')
            if name == b'@CONTOUR_INFO':
                width, height = struct.unpack('<22x2I', file.read(30))
                if 2 * width * height > size:
                    raise InputError(f'{path}: outlines of {height}x{width} numbers in {size} bytes; export it again')
            file.seek(place)
