"""Reader of the published Duke DME volumes: one MATLAB file for each subject (Chiu et al., Biomed. Opt. Express 6, 2015)."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

from octfluid.io.scan import Scan, reading, require_bytes, require_volume, to_gray
from octfluid.utils.errors import InputError
from octfluid.utils.text import require_file

SUBJECT_FILE = re.compile(r'Subject_(\d+)\.mat', re.IGNORECASE)
_IMAGES = 'images'
_NO_ARRAY = 'is not a real numeric array of three axes (height, width, slices)'


@dataclass(frozen=True)
class DukeSubject:
    """One subject's volume and one grader's fluid annotation; axes are depth (top to bottom), lateral position, slice."""

    subject: int  # number in the file's name, 1 to 10 in the published archive
    images: np.ndarray  # uint8 (H, W, N), gray values 0..255
    fluid: np.ndarray  # float64 (H, W, N): NaN where not graded, 0 for background, positive for fluid pockets
    layers: np.ndarray | None = None  # (boundaries, W, N): depth of the same grader's layers, NaN in columns not graded

    @property
    def graded_slices(self) -> list[int]:
        """0-based slices whose annotation is not all NaN, ascending."""
        return [z for z in range(self.fluid.shape[2]) if not np.isnan(self.fluid[:, :, z]).all()]


def subject_number(path: str | os.PathLike) -> int:
    """Return the subject's number from a file name such as ``Subject_01.mat``; raise InputError for other names."""
    match = SUBJECT_FILE.fullmatch(Path(path).name)
    if match is None:
        raise InputError(f'{path}: expected a file named like Subject_01.mat')
    return int(match.group(1))


def read_subject(path: str | os.PathLike, grader: int = 1) -> DukeSubject:
    """Read one ``Subject_XX.mat``, of MATLAB format 4 to 7; ``grader`` 1 reads ``manualFluid1``, 2 reads ``manualFluid2``.

    ``images`` are bytes, or numbers of any scale, which `octfluid.io.scan.to_gray` scales and this function rounds. The layers
    are those of ``manualLayers1`` or ``manualLayers2``, if the file has them.

    Raises:
        InputError: The file is missing or damaged, or holds something other than two numeric 3-D arrays of one shape; images
            contain NaN or negative values.
    """
    subject, key = subject_number(path), f'manualFluid{grader}'
    images = read_images(path)
    fluid = np.asarray(_load(Path(path), key), dtype=np.float64)
    if fluid.shape != images.shape:
        raise InputError(f"{path}: '{_IMAGES}' has shape {images.shape} and '{key}' {fluid.shape}; expected the same shape")
    key = f'manualLayers{grader}'
    layers = _load(Path(path), key) if key in (name for name, *_ in scipy.io.whosmat(path)) else None
    if layers is not None and layers.shape[1:] != fluid.shape[1:]:
        raise InputError(f"{path}: '{key}' has shape {layers.shape}; expected (boundaries, {fluid.shape[1]}, {fluid.shape[2]})")
    return DukeSubject(subject, images, fluid, layers)


def read_images(path: str | os.PathLike) -> np.ndarray:
    """Read only the B-scans of such a file, with any name: uint8 (H, W, N), gray values 0..255."""
    return _to_gray(path, _load(Path(path), _IMAGES))


def read_mat(path: Path) -> Scan:
    """Read variable ``images`` of a MATLAB file as a volume without a scale."""
    images = read_images(path)
    height, width, number = images.shape
    require_volume(path, number, height, width)
    return Scan(path, list(np.ascontiguousarray(images.transpose(2, 0, 1))), is_volume=number > 1)


def _load(path: Path, key: str) -> np.ndarray:
    require_file(path)
    with reading(path):
        try:
            held = {name: shape for name, shape, _ in scipy.io.whosmat(path)}
            require_bytes(path, math.prod(held.get(key, ())))
            array = scipy.io.loadmat(path, variable_names=[key]).get(key)
        except NotImplementedError as error:
            raise InputError(f'{path}: has MATLAB format 7.3 (HDF5); save it in MATLAB with the option -v7') from error
        if array is None:
            names = ', '.join(sorted(held)) or 'no variables'
            raise InputError(f"{path}: no variable '{key}', only {names}; if the file is incomplete, download it again")
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'uif' or array.ndim != 3 or not array.size:
        raise InputError(f"{path}: '{key}' (shape {np.shape(array)}) {_NO_ARRAY}")
    return array


def _to_gray(path: str | os.PathLike, raw: np.ndarray) -> np.ndarray:
    if raw.dtype.kind == 'f' and -raw.max() / 255 <= raw.min() < 0:  # a cubic filter undershoots by a gray level or so
        raw = raw.clip(0)
    (gray,) = to_gray([raw], f"{path}: '{_IMAGES}'")
    return np.rint(gray).astype(np.uint8)
