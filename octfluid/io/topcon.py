"""Reader of Topcon ``.fda`` files, through eyepy and OCT-Converter."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from octfluid.io.gray import highest, to_gray, white_of
from octfluid.io.heidelberg import parsed
from octfluid.io.scan import Frames, Scan, require_size, spacing_from

SUFFIXES = ('.fda',)


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

    fda.np = _Numpy()
    with contextlib.redirect_stdout(io.StringIO()):  # OCT-Converter prints what it finds, persons among it
        volume = parsed(path, 'Topcon .fda', lambda: import_topcon_fda(path))
    values = np.asarray(volume.data)
    require_size(*values.shape[1:], str(path))
    white = white_of(values.dtype, highest(values, str(path)))
    return Scan(
        path,
        Frames(len(values), lambda place: to_gray(values[place], white)),
        is_volume=len(values) > 1,
        spacing=spacing_from(volume.scale_y, volume.scale_x, volume.scale_z),
        device='Topcon',
    )
