"""What the user says of scans, and what follows from it together with what their files say: scale, fovea, sectors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from octfluid.inference.etdrs import SectorVolume, sector_volumes
from octfluid.io.scan import Scan, Spacing
from octfluid.utils.errors import InputError

_DIFFERENT_SCALE = 0.01
SCALE_OPTION = '(--spacing)'
"""How a command is told the scale, in warnings: a page has another way."""


@dataclass(frozen=True)
class Settings:
    """What the user says of the scans.

    Attributes:
        spacing: Scale in mm, instead of that of the file.
        threshold: A pixel is fluid where its probability is above this, in (0, 1); None: the model's own.
        fovea: (B-scan, column) from 0, for volumes by ETDRS sector.
        macula_centred: The fovea is in the middle of the volume.
        bottom_up: Whether the first B-scan is the lowest of the eye; None: as the file says.
        laterality: 'OD' or 'OS', instead of that of the file.
    """

    spacing: Spacing | None = None
    threshold: float | None = None
    fovea: tuple[float, float] | None = None
    macula_centred: bool = False
    bottom_up: bool | None = None
    laterality: str | None = None

    def __post_init__(self) -> None:
        """Raise InputError of what is no setting."""
        if self.laterality not in (None, 'OD', 'OS'):
            raise InputError(f"laterality {self.laterality!r}: expected 'OD' (right) or 'OS' (left)")
        if self.spacing is not None and not isinstance(self.spacing, Spacing):
            raise InputError(f'spacing {self.spacing!r}: expected octfluid.Spacing(axial, lateral, slice) in mm')
        if self.threshold is not None and not (isinstance(self.threshold, Real) and 0 < self.threshold < 1):
            raise InputError(f'threshold {self.threshold!r}: expected a number between 0 and 1')
        if self.fovea is not None and not _is_pair(self.fovea):
            raise InputError(f'fovea {self.fovea!r}: expected (B-scan, column), two numbers from 0')
        for name, expected in (('macula_centred', (True, False)), ('bottom_up', (True, False, None))):
            if not any(getattr(self, name) is one for one in expected):
                raise InputError(f'{name} {getattr(self, name)!r}: expected one of {", ".join(map(str, expected))}')
        if self.fovea is not None and self.macula_centred:
            raise InputError('fovea, macula_centred: expected one of the two')


def _is_pair(value: object) -> bool:
    return isinstance(value, Sequence) and len(value) == 2 and all(isinstance(one, Real) for one in value)


AS_THE_FILE_SAYS = Settings()


def scale_of(scan: Scan, settings: Settings) -> tuple[Spacing | None, str | None, list[str]]:
    """Return the scale, where it is from, and what to say of it."""
    spacing, origin = (scan.spacing, 'file') if settings.spacing is None else (settings.spacing, 'given')
    if spacing is None:
        said = f'no scale: {scan.why_no_scale}, so nothing is in mm; give it {SCALE_OPTION}'
        return None, None, [said]
    said = []
    if origin == 'given' and scan.spacing is not None:
        if spacing.slice is None:
            spacing = replace(spacing, slice=scan.spacing.slice)
        pairs = [(getattr(spacing, key), getattr(scan.spacing, key)) for key in ('axial', 'lateral', 'slice')]
        if any(ours and theirs and abs(ours / theirs - 1) > _DIFFERENT_SCALE for ours, theirs in pairs):
            said.append(f'the given scale is used; the file says {_spelled(scan.spacing)} mm')
    if scan.is_volume and spacing.slice is None:
        said.append(
            f'no volume in mm3: the distance between B-scans is not known; give it as third number of the scale {SCALE_OPTION}'
        )
    doubts = spacing.doubts(scan.frames[0].shape[1])
    said += [f'the scale ({origin}) makes {doubt}; check what is in mm' for doubt in doubts]
    return spacing, origin, said


def _spelled(spacing: Spacing) -> str:
    return ', '.join(f'{value:g}' for value in (spacing.axial, spacing.lateral, spacing.slice) if value is not None)


def check_fovea(scan: Scan, settings: Settings) -> None:
    """Refuse a fovea outside of the scan before anything is computed."""
    if settings.fovea is None:
        return
    number, width = len(scan.frames), scan.frames[0].shape[1]
    if not (0 <= settings.fovea[0] < number and 0 <= settings.fovea[1] < width):
        raise InputError(
            f'fovea at B-scan {settings.fovea[0]:g}, column {settings.fovea[1]:g}: expected one within the {number} B-scans '
            f'and {width} columns of {scan.path}, counted from 0'
        )


def sectors_of_volume(
    scan: Scan, thick: np.ndarray, spacing: Spacing | None, laterality: str | None, settings: Settings
) -> tuple[list[SectorVolume], list[str]]:
    """Return the volumes by sector if they are asked for and can be had, else why not."""
    if settings.fovea is None and not settings.macula_centred:
        return [], []
    fovea = settings.fovea or ((thick.shape[0] - 1) / 2, (thick.shape[1] - 1) / 2)
    bottom_up = scan.raster.bottom_up if settings.bottom_up is None else settings.bottom_up
    needed = {
        'B-scans side by side': scan.is_volume,
        'a scale with the distance between B-scans': spacing is not None and spacing.slice is not None,
        'the side of the eye (--laterality)': laterality is not None,
        'which end of the eye the first B-scan is at (--first-bscan)': bottom_up is not None,
        'B-scans that run from side to side': scan.raster.horizontal is not False,
    }
    if missing := [name for name, there in needed.items() if not there]:
        return [], [f'no volumes by ETDRS sector: these need {" and ".join(missing)}']
    return sector_volumes(thick, spacing, fovea, laterality, bottom_up), []
