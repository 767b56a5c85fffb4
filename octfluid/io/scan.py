"""A scan as every reader returns it: gray B-scans in order, with what the file says of scale, side and person."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import numpy as np

from octfluid.utils.errors import InputError

LEAST_SIDE, MOST_PIXELS = 32, 1 << 24
"""Pixels of a B-scan: of its shorter side at least, in all at most."""
MOST_FRAMES = 10_000
"""B-scans of a scan."""
AXIAL_UM = (1.0, 20.0)
FIELD_MM = (1.0, 30.0)
LENGTH_MM = (1e-6, 1e3)
"""What a pixel's height and a B-scan's width can be in an eye; anything else is some other unit."""


@dataclass(frozen=True)
class Spacing:
    """Size of a pixel, and distance between B-scans.

    Attributes:
        axial: Height of a pixel, mm.
        lateral: Width of a pixel, mm.
        slice: Distance between neighbouring B-scans, mm, or None where there is none or it is not known.
    """

    axial: float
    lateral: float
    slice: float | None = None

    def __post_init__(self) -> None:
        """Raise InputError of what is no length."""
        for name in ('axial', 'lateral', 'slice'):
            value = getattr(self, name)
            if value is None and name == 'slice':
                continue
            if not (isinstance(value, Real) and LENGTH_MM[0] <= value <= LENGTH_MM[1]) or isinstance(value, bool):
                raise InputError(f'{name} spacing {value!r}: expected mm, from {LENGTH_MM[0]:g} to {LENGTH_MM[1]:g}')
            object.__setattr__(self, name, float(value))  # NumPy's numbers fit into no JSON

    def doubts(self, width: int) -> list[str]:
        """Say what is absurd for an eye.

        Args:
            width: Of a B-scan, in pixels.
        """
        found = []
        if not AXIAL_UM[0] <= 1000 * self.axial <= AXIAL_UM[1]:
            found.append(f'a pixel {1000 * self.axial:g} um high; expected {AXIAL_UM[0]:g} to {AXIAL_UM[1]:g} um')
        if not FIELD_MM[0] <= width * self.lateral <= FIELD_MM[1]:
            found.append(f'a B-scan {width * self.lateral:g} mm wide; expected {FIELD_MM[0]:g} to {FIELD_MM[1]:g} mm')
        if self.slice is not None and self.slice > FIELD_MM[1]:
            found.append(f'B-scans {self.slice:g} mm apart; expected at most {FIELD_MM[1]:g} mm')
        return found


def spacing_from(axial: float | None, lateral: float | None, between: float | None = None) -> Spacing | None:
    """Return the spacing that a file's numbers in mm give; None where they are missing or no lengths."""
    lengths = [
        value if value is not None and LENGTH_MM[0] <= value <= LENGTH_MM[1] else None for value in (axial, lateral, between)
    ]
    return None if None in lengths[:2] else Spacing(*(length and float(length) for length in lengths))


@dataclass(frozen=True)
class Raster:
    """How the B-scans of a volume lie in the eye.

    Attributes:
        distance: Between neighbouring B-scans, in the unit of their positions; None where they do not lie side by side at one
            distance, or where that is not known.
        horizontal: Whether they run from side to side rather than up and down; None if not known.
        bottom_up: Whether the first is the lowest; None if not known.
    """

    distance: float | None = None
    horizontal: bool | None = None
    bottom_up: bool | None = None


def raster_of(starts: Sequence[Sequence[float] | None], ends: Sequence[Sequence[float] | None] | None = None) -> Raster:
    """Return how B-scans lie, from the positions of their first and last pixels.

    Args:
        starts: Of each B-scan in order, (x, y) with y downwards or (x, y, z); None for one without a position.
        ends: The same, of the last pixels; None if not known at all.

    Returns:
        A distance only where each step from one B-scan to the next, and each B-scan, is within a tenth of the median one:
        B-scans that cross each other, turn, or stand in groups have none.
    """
    positions = [*starts, *(ends or [])]
    if len(starts) < 2 or any(position is None for position in positions):
        return Raster()
    first = np.asarray(starts, float)
    if not np.isfinite(np.asarray(positions, float)).all():
        return Raster()
    steps = [np.diff(first, axis=0)]
    horizontal = bottom_up = None
    if ends is not None:
        last = np.asarray(ends, float)
        lines = last - first
        steps += [np.diff(last, axis=0)]
        if not _alike(lines):
            return Raster()
        middle = np.median(lines, axis=0)
        horizontal = bool(abs(middle[0]) > np.abs(middle[1:]).max())
        bottom_up = bool(first[0, 1] > first[-1, 1]) if horizontal and first.shape[1] == 2 else None
    if not all(map(_alike, steps)):
        return Raster(horizontal=horizontal)
    return Raster(float(np.linalg.norm(np.median(steps[0], axis=0))), horizontal, bottom_up)


def _alike(vectors: np.ndarray) -> bool:
    """Tell whether all vectors are within a tenth of the median one, which is not 0."""
    middle = np.median(vectors, axis=0)
    length = np.linalg.norm(middle)
    return bool(length > 0 and np.linalg.norm(vectors - middle, axis=1).max() <= 0.1 * length)


class Frames(Sequence):
    """B-scans that are read one at a time, each when it is asked for.

    Args:
        number: How many there are.
        read: Returns the one at a place from 0.
    """

    def __init__(self, number: int, read: Callable[[int], np.ndarray]) -> None:
        self._number, self._read = number, read

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, place: int) -> np.ndarray:
        if not 0 <= place < self._number:
            raise IndexError(place)
        return self._read(place)

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self._read, range(self._number))


@dataclass(frozen=True)
class Scan:
    """A B-scan, or a volume of them.

    Attributes:
        path: Where it was read from.
        frames: B-scans in the order of the file, each (H, W), uint8 or float32, gray values 0..255.
        is_volume: B-scans of one eye that lie side by side, even if it is a single one of a volume's file.
        spacing: From the file, or None.
        raster: How the B-scans lie, as far as the file says.
        laterality: 'OD' (right), 'OS' (left), or None where the file does not say.
        series: What tells several volumes of one file apart, else empty.
        device: What the file calls the instrument, or None.
        identifiers: What names a person or a day, by its field's name; written nowhere unless it is asked for.
        coloured: Share of pixels of the first B-scan that are no shade of gray.
        notes: What the user should know about the reading.
        order: Number of the B-scan in its series, where each is a file of its own and says so.
        affine: Of a NIfTI file, (4, 4), which its mask shares.
        files: Names of the files that the B-scans are from, in order, where each has its own; else empty.
        why_no_scale: To say if ``spacing`` is None and nobody gives another.
    """

    path: Path
    frames: Sequence[np.ndarray]
    is_volume: bool = False
    spacing: Spacing | None = None
    raster: Raster = Raster()
    laterality: str | None = None
    series: str = ''
    device: str | None = None
    identifiers: Mapping[str, str] = field(default_factory=dict)
    coloured: float = 0.0
    notes: tuple[str, ...] = ()
    order: int | None = None
    affine: np.ndarray | None = None
    files: tuple[str, ...] = ()
    why_no_scale: str = 'the file does not say how large a pixel is'

    def __post_init__(self) -> None:
        """Raise InputError of no B-scans, or of more than an eye is ever scanned with."""
        require_frames(len(self.frames), str(self.path))

    def file_of(self, place: int) -> str:
        """Return the name of the file that a B-scan is from."""
        return self.files[place] if self.files else Path(self.path).name


def require_frames(number: int, where: str) -> None:
    """Refuse a number of B-scans that can be none.

    Raises:
        InputError: There is none, or more than `MOST_FRAMES`.
    """
    if not 1 <= number <= MOST_FRAMES:
        raise InputError(f'{where}: says that it has {number} B-scans; expected 1 to {MOST_FRAMES}')


def require_size(height: int, width: int, where: str) -> None:
    """Refuse a B-scan that can be none.

    Raises:
        InputError: Too few pixels or too many.
    """
    if min(height, width) < LEAST_SIDE:
        raise InputError(f'{where}: {height}x{width} pixels; expected a B-scan, at least {LEAST_SIDE}x{LEAST_SIDE}')
    if height * width > MOST_PIXELS:
        raise InputError(
            f'{where}: {height}x{width} pixels; expected at most {MOST_PIXELS / 1e6:.0f} million, as no B-scan has more; '
            'cut it or scale it down'
        )
