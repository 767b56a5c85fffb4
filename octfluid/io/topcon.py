"""Reader of Topcon ``.fda`` files, through eyepy and OCT-Converter."""

from pathlib import Path

import numpy as np

from octfluid.io.gray import highest, to_gray, white_of
from octfluid.io.heidelberg import _parsed
from octfluid.io.scan import Frames, Scan, require_size, spacing_from

SUFFIXES = ('.fda',)


def read_fda(path: Path) -> Scan:
    """Read the OCT volume of an ``.fda`` file.

    Raises:
        InputError: It is damaged or of another kind.
        ModuleNotFoundError: eyepy or OCT-Converter is not installed.
    """
    import oct_converter  # noqa: F401  so that it is missed by its own name
    from eyepy.io.import_functions import import_topcon_fda

    volume = _parsed(path, 'Topcon .fda', lambda: import_topcon_fda(path))
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
