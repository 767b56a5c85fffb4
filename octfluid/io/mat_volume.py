"""Reader of the B-scans alone of a Duke ``.mat`` volume; what was graded in it is read by `octfluid.io.duke_mat`."""

from pathlib import Path

import numpy as np

from octfluid.io.duke_mat import read_images
from octfluid.io.scan import Frames, Scan, require_size

SUFFIXES = ('.mat',)


def read_mat(path: Path) -> Scan:
    """Read variable ``images`` (height, width, slices) of a MATLAB file, format 4 to 7; it does not say of what scale it is.

    Args:
        path: The file, of any name.

    Raises:
        InputError: As `octfluid.io.duke_mat.read_images`.
    """
    images = read_images(path)
    require_size(*images.shape[:2], str(path))
    frames = Frames(images.shape[2], lambda place: np.ascontiguousarray(images[:, :, place]))
    return Scan(path, frames, is_volume=images.shape[2] > 1)
