"""A scan as every reader returns it: gray B-scans in order, with scale, side of the eye and identifiers from the file."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import cv2
import numpy as np

from octfluid.utils.errors import InputError

LEAST_SIDE, MOST_PIXELS, MOST_FRAMES = 32, 1 << 24, 10_000
"""Minimum pixels of a B-scan's shorter side; maximum pixels of a B-scan, and B-scans of a scan."""
MOST_BYTES, MOST_TIMES = 1 << 26, 100
"""Memory that any scan may take, bytes; a larger scan may take this many times its file: compression reaches 2 to 20."""
AXIAL_UM, FIELD_MM = (1.0, 20.0), (1.0, 30.0)
"""Ranges of a pixel's height and a B-scan's width in an eye; other values have another unit."""
DEPTH_MM, WIDTH_MM = (1.0, 4.0), (3.0, 16.0)
"""Depths and widths that devices scan."""
LENGTH_MM = (1e-6, 1e3)
QUANTUM_MM = 0.001  # of positions: HEYEX writes three decimals


@dataclass(frozen=True)
class Spacing:
    """Size of a pixel, and distance between B-scans.

    Attributes:
        axial: Height of a pixel, mm.
        lateral: Width of a pixel, mm.
        slice: Distance between neighbouring B-scans, mm, or None if unknown or for a single B-scan.
    """

    axial: float
    lateral: float
    slice: float | None = None

    def __post_init__(self) -> None:
        """Raise InputError if a value is not a length."""
        for name, value in vars(self).copy().items():
            if value is None and name == 'slice':
                continue
            if isinstance(value, bool) or not isinstance(value, Real) or not LENGTH_MM[0] <= value <= LENGTH_MM[1]:
                raise InputError(f'{name} spacing {value!r}: expected mm, from {LENGTH_MM[0]:g} to {LENGTH_MM[1]:g}')
            object.__setattr__(self, name, float(value))  # JSON cannot hold NumPy's numbers

    @property
    def pixel_mm2(self) -> float:
        """Area of a pixel, mm2."""
        return self.axial * self.lateral

    def doubts(self, height: int, width: int, whole: bool) -> list[str]:
        """Return implausible sizes of a B-scan of (height, width) pixels, one phrase each; ``whole``: it is not cut."""
        found = []
        if not AXIAL_UM[0] <= 1000 * self.axial <= AXIAL_UM[1]:
            found.append(f'a pixel {1000 * self.axial:g} um high; expected {AXIAL_UM[0]:g} to {AXIAL_UM[1]:g} um')
        elif whole and not DEPTH_MM[0] <= round(height * self.axial, 1) <= DEPTH_MM[1]:
            found.append(f'a B-scan {height * self.axial:g} mm deep; expected {DEPTH_MM[0]:g} to {DEPTH_MM[1]:g} mm')
        low, high = WIDTH_MM if whole else FIELD_MM
        if not low <= round(width * self.lateral, 1) <= high:
            found.append(f'a B-scan {width * self.lateral:g} mm wide; expected {low:g} to {high:g} mm')
        if self.slice is not None and self.slice > FIELD_MM[1]:
            found.append(f'B-scans {self.slice:g} mm apart; expected at most {FIELD_MM[1]:g} mm')
        return found


def spacing_from(axial: float | None, lateral: float | None, between: float | None = None) -> Spacing | None:
    """Return the spacing from a file's numbers in mm; None if a pixel's height or width is missing or not a length."""
    sizes = [size if size is not None and LENGTH_MM[0] <= size <= LENGTH_MM[1] else None for size in (axial, lateral, between)]
    return None if None in sizes[:2] else Spacing(*sizes)


@dataclass(frozen=True)
class Raster:
    """How the B-scans of a volume lie in the eye; None: unknown."""

    distance: float | None = None  # from one to the next, mm
    horizontal: bool | None = None  # they run from side to side, not up and down
    bottom_up: bool | None = None  # the first is the lowest
    uneven: str = ''  # why they do not lie side by side at one distance, which a distance from the user cannot change
    doubt: str = 'the distance between B-scans is not known'  # why ``distance`` is None


def raster_of(
    starts: Sequence[Sequence[float] | None], ends: Sequence[Sequence[float] | None] | None = None, header: float | None = None
) -> Raster:
    """Return how B-scans lie, from their positions, or without positions from the distance in the ``header``, in mm.

    Positions of the first and last pixels of B-scans are (x, y), y downwards, or (x, y, z), in mm; ``ends`` may be unknown. The
    distance is that from the first B-scan to the last over n - 1, at a right angle to them. B-scans are uneven if one of them,
    or a step from one to the next, differs from the median by more than a tenth and `QUANTUM_MM`: they repeat a place, leave a
    gap, cross or turn. If the header differs by more than 1 % and `QUANTUM_MM`, there is no distance.
    """
    header = header if header is not None and LENGTH_MM[0] <= header <= LENGTH_MM[1] else None
    positions = [*starts, *(ends or [])]
    known = [position is not None and bool(np.isfinite(position).all()) for position in positions]
    if len(starts) < 2 or not any(known):
        return Raster(header)
    if not all(known):
        return Raster(doubt=f'B-scan {known.index(False) % len(starts)} has no position')
    first, last = np.asarray(starts, float), np.asarray(ends or starts, float)
    step, horizontal, bottom_up = (first[-1] - first[0]) / (len(first) - 1), None, None
    if ends:
        if not np.any(last - first):  # nothing was filled in
            return Raster(header)
        if (odd := _odd(last - first)) is not None:
            return Raster(uneven=f'B-scan {odd} does not run as most do: they cross or turn')
        middle = np.median(last - first, axis=0)
        step = step - (step @ middle) / (middle @ middle) * middle
        horizontal = bool(abs(middle[0]) > np.abs(middle[1:]).max())
        bottom_up = bool(first[0, 1] > first[-1, 1]) if horizontal and first.shape[1] == 2 else None
    # Both ends of the B-scans advance alike; where they do not, the B-scans cross or spread.
    if (odd := _odd(np.concatenate([np.diff(first, axis=0), np.diff(last, axis=0)]))) is not None:
        uneven = f'B-scan {odd % (len(first) - 1) + 1} repeats a place, leaves a gap or crosses, unlike most'
        return Raster(horizontal=horizontal, uneven=uneven)
    distance = float(np.linalg.norm(step))
    if header and abs(header - distance) > max(0.01 * distance, QUANTUM_MM):
        doubt = f'B-scans are {header:.4g} mm apart by the header of the file, and {distance:.4g} mm by their positions'
        return Raster(None, horizontal, bottom_up, doubt=doubt)
    return Raster(distance, horizontal, bottom_up)


def _odd(vectors: np.ndarray) -> int | None:
    """Return the place of the first vector that differs from the median, or None."""
    middle = np.median(vectors, axis=0)
    length = np.linalg.norm(middle)
    off = np.linalg.norm(np.maximum(np.abs(vectors - middle) - QUANTUM_MM, 0), axis=1)
    return next(iter(np.flatnonzero((off > 0.1 * length) | (length == 0)).tolist()), None)


@dataclass(frozen=True)
class Scan:
    """A B-scan, or a volume of them."""

    path: Path  # its file, or the folder of its files
    frames: Sequence[np.ndarray]  # in the order of the file, each (H, W), uint8 or float32, gray values 0..255
    is_volume: bool = False  # B-scans of one eye side by side, perhaps only one
    spacing: Spacing | None = None  # from the file
    raster: Raster = Raster()  # how the B-scans lie, from the file
    laterality: str | None = None  # 'OD' (right), 'OS' (left), or None if unknown
    series: str = ''  # number of the volume in a file of several
    device: str | None = None  # name of the instrument in the file
    identifiers: Mapping[str, str] = field(default_factory=dict)  # names, numbers and dates of a person, written on demand
    coloured: float = 0.0  # share of pixels in colour in the first B-scan
    notes: tuple[str, ...] = ()  # warnings for the user
    order: int | None = None  # number of the B-scan in its series, if each is a file with a number
    ends: tuple[tuple | None, tuple | None] = (None, None)  # (x, y, z) of its first and last pixel, mm, if each is a file
    affine: np.ndarray | None = None  # of a NIfTI file and its mask, (4, 4)
    unit: str = 'unknown'  # of the affine, by nibabel's names
    files: tuple[str, ...] = ()  # names of the files of the B-scans, in order, if each has a file
    why_no_scale: str = 'the file does not say how large a pixel is'  # if ``spacing`` is None

    def file_of(self, place: int) -> str:
        """Return the name of a B-scan's file."""
        return self.files[place] if self.files else Path(self.path).name


@contextmanager
def reading(path: Path, private: bool = False) -> Iterator[None]:
    """Turn exceptions of libraries on damaged files into an InputError of one line, and keep libraries silent.

    ``private``: leave out the library's message, which may quote names of persons from the file.
    """
    for name in ('pydicom', 'eyepy', 'nibabel.global'):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    except (InputError, ModuleNotFoundError):
        raise
    except Exception as error:
        reason = (not private and ' '.join(str(error).split())[:120]) or type(error).__name__
        raise InputError(f'{path}: cannot be read as an image ({reason}); damaged or not a scan, export it again') from error


def require_volume(path: Path, number: int, height: int, width: int, size: int = 1) -> None:
    """Raise InputError for impossible sizes (B-scans, pixels, bytes in each pixel), before memory is reserved."""
    if not 1 <= number <= MOST_FRAMES:
        raise InputError(f'{path}: the header gives {number} B-scans; expected 1 to {MOST_FRAMES}')
    if min(height, width) < LEAST_SIDE or height * width > MOST_PIXELS:
        raise InputError(
            f'{path}: {height}x{width} pixels; expected a B-scan of at least {LEAST_SIDE}x{LEAST_SIDE} and at most '
            f'{MOST_PIXELS / 1e6:.0f} million pixels; cut it or scale it down'
        )
    require_bytes(path, number * height * width * size)


def require_bytes(path: Path, size: int) -> None:
    """Raise InputError for a file that needs far more bytes in memory than a scan of its size."""
    held = path.stat().st_size
    if size > max(MOST_BYTES, MOST_TIMES * held):
        raise InputError(f'{path}: unpacks from {held / 1e6:.3f} MB to {size / 1e6:.0f} MB or more; damaged, export it again')


def to_gray(frames: Sequence[np.ndarray], where: str | Path) -> list[np.ndarray]:
    """Return the B-scans of a file, real numbers of one dtype, in gray values 0..255 of one scale; bytes stay unchanged.

    The maximum of other numbers becomes white, since files use any part of 16 bits or of floating numbers. Values more than
    twice as bright as 99.9 % of each B-scan, such as broken pixels, are clipped.

    Returns:
        Arrays of the same shapes, uint8 for uint8, else float32.

    Raises:
        InputError: A value is NaN, infinite or negative.
    """
    if frames[0].dtype == np.uint8:
        return list(frames)
    tops, nearly = [], []
    for values in frames:
        if values.dtype.kind == 'f' and not np.isfinite(values).all():
            raise InputError(f'{where}: has NaN or infinite values; expected gray values')
        if values.dtype.kind in 'if' and values.min() < 0:
            raise InputError(f'{where}: has values down to {values.min():g}; expected gray values, 0 or more')
        tops.append(float(values.max()))
        nearly.append(float(np.percentile(values.astype(np.float64), 99.9)))
    white = min(max(tops), 2 * max(nearly) or np.inf) or 1.0
    return [np.minimum(np.multiply(values, 255 / white, dtype=np.float64), 255).astype(np.float32) for values in frames]


def gray_frames(values: np.ndarray, path: Path) -> list[np.ndarray]:
    """Apply `to_gray` to the B-scans of a volume (Z, H, W) of real numbers.

    Raises:
        InputError: Not three axes of real numbers, an impossible size, or values that `to_gray` refuses.
    """
    if values.ndim != 3 or values.dtype.kind not in 'buif':
        raise InputError(f'{path}: has {values.dtype} values of shape {values.shape}; expected gray B-scans of one size')
    require_volume(path, *values.shape, values.dtype.itemsize)
    return to_gray([np.ascontiguousarray(bscan) for bscan in values], path)


def whiten_filling(gray: np.ndarray) -> np.ndarray:
    """Return a scan, (H, W) of gray values 0..255, as input of networks: uint8, with white filling at 255.

    Devices fill the empty corners of a turned scan with white, and networks ignore pixels of that value. Filling has one gray
    value in squares of 5x5 pixels, hardly any pixel is brighter, and most are darker. A scan with darker filling is scaled
    until the filling is white. JPEG turns white into many shades: if more than one in a thousand pixels within the filling
    differs from the rest, nearly white squares of 5x5 pixels become white.
    """
    values, square = gray.astype(np.float32), np.ones((5, 5), np.uint8)
    level = float(cv2.erode(values, square).max())
    other = abs(values - level) >= level / 255
    outstanding = np.median(values) < level and np.mean(values > 1.1 * level) < 0.001
    if outstanding and cv2.erode((~other).astype(np.uint8), square).any():
        filling = cv2.morphologyEx((values >= 0.88 * level).astype(np.uint8), cv2.MORPH_OPEN, square)
        within = cv2.erode(filling, square) > 0  # without its edge, which resizing blurs
        values *= 255 / level
        if np.count_nonzero(other & within) > 0.001 * np.count_nonzero(within):
            values[filling > 0] = 255
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
