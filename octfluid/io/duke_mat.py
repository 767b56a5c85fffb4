"""Reader of the Duke DME volumes as published: one MATLAB file a subject (Chiu et al., Biomed. Opt. Express 6, 2015)."""

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

from octfluid.io.mat_headers import check_variables
from octfluid.utils.errors import InputError

SUBJECT_FILE = re.compile(r'Subject_(\d+)\.mat', re.IGNORECASE)
GRADERS = (1, 2)
_IMAGES = 'images'
_NUMERIC = frozenset(('uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'single', 'double'))
# Resampling with a cubic filter overshoots by a gray level or so; anything further out is another scale.
_OVERSHOOT = 1.0


@dataclass(frozen=True)
class DukeSubject:
    """One subject's volume and one grader's fluid annotation.

    Attributes:
        subject: Number in the file's name, 1 to 10 in the published archive.
        images: uint8 (H, W, N), gray values 0..255; axes are depth (top to bottom), lateral position, slice.
        fluid: float64 (H, W, N): NaN where nobody graded, 0 for background, positive numbers for fluid pockets.
    """

    subject: int
    images: np.ndarray
    fluid: np.ndarray

    @property
    def graded_slices(self) -> list[int]:
        """0-based slices whose annotation is not all NaN, ascending."""
        return [z for z in range(self.fluid.shape[2]) if not np.isnan(self.fluid[:, :, z]).all()]


def subject_number(path: str | os.PathLike) -> int:
    """Return the subject's number from a file name such as ``Subject_01.mat``.

    Raises:
        InputError: The name has another form.
    """
    match = SUBJECT_FILE.fullmatch(Path(path).name)
    if match is None:
        raise InputError(f'{path}: expected a file named like Subject_01.mat')
    return int(match.group(1))


def read_subject(path: str | os.PathLike, grader: int = 1) -> DukeSubject:
    """Read one ``Subject_XX.mat``; variables other than the two needed are never loaded.

    ``images`` may be stored as integers or floats. Floats are taken as gray values 0..255, rounded, and clipped where they
    overshoot that range by at most one gray level. A float volume whose maximum is at most 1 is ambiguous: it is taken as
    0..1 (and multiplied by 255) if it holds values that are not whole numbers, else as gray values 0 and 1.

    Args:
        path: File named ``Subject_<number>.mat``, MATLAB format 4 to 7.
        grader: 1 reads ``manualFluid1``, 2 reads ``manualFluid2``.

    Returns:
        The volume. Any height, width and number of slices.

    Raises:
        InputError: The file is missing, truncated or not a MATLAB file, lacks a variable, or holds something other than
            two numeric 3-D arrays of one shape; images contain NaN or values outside 0..255.
    """
    if grader not in GRADERS:
        raise InputError(f'grader {grader!r}: expected 1 or 2')
    subject = subject_number(path)
    annotation = f'manualFluid{grader}'
    _check_layout(path, (_IMAGES, annotation))
    # One variable at a time, so that a volume of float images is freed before the annotation is loaded.
    images = _to_gray(path, _load(path, _IMAGES))
    fluid = np.asarray(_load(path, annotation), dtype=np.float64)
    return DukeSubject(subject, images, fluid)


def read_images(path: str | os.PathLike) -> np.ndarray:
    """Read the B-scans alone of a file as `read_subject` takes it, of any name.

    Returns:
        uint8 (H, W, N), gray values 0..255; axes are depth (top to bottom), lateral position, slice.

    Raises:
        InputError: As `read_subject`, for ``images``.
    """
    _check_layout(path, (_IMAGES,))
    return _to_gray(path, _load(path, _IMAGES))


def _check_layout(path: str | os.PathLike, keys: Sequence[str]) -> None:
    """Refuse missing keys, wrong types and wrong shapes from the headers alone, before anything large is loaded."""
    _matlab(path, check_variables, keys=keys)
    listed = _matlab(path, scipy.io.whosmat)
    present = {name: (shape, kind) for name, shape, kind in listed}
    for key in keys:
        if sum(name == key for name, *_ in listed) > 1:  # of which the one that is loaded might be another than is judged here
            raise InputError(f"{path}: holds more than one variable '{key}'; expected one")
        if key not in present:
            held = ', '.join(sorted(present)) or 'no variables'
            raise InputError(f"{path}: no variable '{key}'; the file holds {held}; if it was cut short, fetch it again")
        shape, kind = present[key]
        if kind not in _NUMERIC:
            raise InputError(f"{path}: '{key}' is a MATLAB {kind}; expected a numeric array (height, width, slices)")
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"{path}: '{key}' has shape {shape}; expected three dimensions (height, width, slices)")
    first, last = keys[0], keys[-1]
    if present[first][0] != present[last][0]:
        raise InputError(
            f"{path}: '{first}' has shape {present[first][0]} and '{last}' {present[last][0]}; expected the same shape"
        )


def _load(path: str | os.PathLike, key: str) -> np.ndarray:
    array = _matlab(path, scipy.io.loadmat, variable_names=[key])[key]
    # A header can promise more than the data hold, and complex numbers are announced as plain doubles.
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'uif' or array.ndim != 3:
        raise InputError(f"{path}: '{key}' is not a real numeric array of three dimensions (height, width, slices)")
    return array


def _matlab(path: str | os.PathLike, reader, **options):
    """Call one of scipy's readers; whatever it raises becomes an InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f'{path}: no such file')
    try:
        with warnings.catch_warnings():
            # Variables that are not ours may be of kinds that scipy warns about.
            warnings.simplefilter('ignore')
            return reader(path, **options)
    except NotImplementedError as error:
        raise InputError(
            f'{path}: is in MATLAB format 7.3 (HDF5), which is not read here; save it in MATLAB with the option -v7'
        ) from error
    except PermissionError as error:
        raise InputError(f'{path}: no permission to read it') from error
    except InputError:
        raise
    except Exception as error:
        # On damaged files scipy raises ValueError, TypeError, OSError, zlib.error, struct.error, MemoryError and more.
        raise InputError(
            f'{path}: not a MATLAB file, or truncated or damaged ({type(error).__name__}: {error}); download it again'
        ) from error


def _to_gray(path: str | os.PathLike, raw: np.ndarray) -> np.ndarray:
    """Convert (H, W, N) images of any real type to uint8; a slice at a time, to keep temporary copies small."""
    if raw.dtype == np.uint8:
        return raw
    low, high = float(raw.min()), float(raw.max())
    if np.isnan(low):
        raise InputError(f"{path}: '{_IMAGES}' contains NaN; expected gray values 0..255")
    if low < -_OVERSHOOT or high > 255 + _OVERSHOOT:
        raise InputError(f"{path}: '{_IMAGES}' holds values from {low:g} to {high:g}; expected gray values 0..255")
    scale = 255.0 if high <= 1 and _has_fractions(raw) else 1.0
    gray = np.empty(raw.shape, np.uint8, order='F')
    for z in range(raw.shape[2]):
        gray[:, :, z] = np.clip(np.rint(raw[:, :, z] * scale), 0, 255)
    return gray


def _has_fractions(raw: np.ndarray) -> bool:
    return any((raw[:, :, z] % 1 != 0).any() for z in range(raw.shape[2]))
