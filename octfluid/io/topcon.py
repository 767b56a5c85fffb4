"""Reader of Topcon ``.fda`` files, through OCT-Converter."""

import contextlib
import io
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from PIL import Image

from octfluid.io.scan import Scan, gray_frames, spacing_from
from octfluid.utils.errors import InputError

SUFFIXES = ('.fda',)
_PICTURES = ('JPEG', 'JPEG2000', 'PNG', 'BMP')  # others among Pillow's readers start programs of the system
_SCALE = b'@PARAM_SCAN_04'


def read_fda(path: Path) -> Scan:
    """Read the OCT volume of an ``.fda`` file, without the side of the eye."""
    from oct_converter.readers import fda

    with open(path, 'rb') as file:
        if file.read(4) != b'FOCT':
            raise InputError(f'{path}: does not begin with FOCT; expected a Topcon .fda file as the device exports it')
    fda.Image = SimpleNamespace(open=partial(Image.open, formats=_PICTURES))
    # OCT-Converter reads bytes by a name that NumPy has dropped.
    fda.np = SimpleNamespace(**{**vars(np), 'fromstring': lambda content, dtype: np.frombuffer(content, dtype).copy()})
    with contextlib.redirect_stdout(io.StringIO()):  # OCT-Converter prints names of persons
        reader = fda.FDA(path)
        if not (bscans := reader.read_oct_data_chunk()[0]):
            raise InputError(f'{path}: has no B-scans; expected an OCT scan, not a photograph')
        frames = gray_frames(np.stack(bscans), path)
        scale = reader.read_any_info_and_make_dict(_SCALE)
    # The field runs from the centre of the first A-scan or B-scan to that of the last, as in eyepy.
    lateral = scale['x_dimension_mm'] / (frames[0].shape[1] - 1)
    between = scale['y_dimension_mm'] / (len(frames) - 1) if len(frames) > 1 else None
    spacing = spacing_from(scale['z_resolution_um'] / 1000, lateral, between)
    return Scan(path, frames, is_volume=len(frames) > 1, spacing=spacing, device='Topcon')
