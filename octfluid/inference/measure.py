"""From masks to mm2: the scale of a scan, areas and pockets of a B-scan, volumes by ETDRS sector."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from octfluid.io.scan import Scan, Spacing
from octfluid.utils.errors import InputError

_EIGHT_NEIGHBOURS = np.ones((3, 3), int)
_DIFFERENT_SCALE = 0.01
DIAMETERS_MM = (1.0, 3.0, 6.0)
SECTORS = ('C', 'S1', 'N1', 'I1', 'T1', 'S2', 'N2', 'I2', 'T2')
"""Centre; then superior, nasal, inferior, temporal of the inner ring (1) and of the outer ring (2)."""


@dataclass(frozen=True)
class Settings:
    """Settings of a prediction.

    Attributes:
        spacing: Scale in mm, in place of the file's.
        threshold: A pixel is fluid where its probability is above this, in (0, 1); None: the model's threshold.
        fovea: (B-scan, column) from 0, for volumes by ETDRS sector.
        macula_centred: The fovea is in the middle of the volume.
        bottom_up: The first B-scan is the lowest of the eye, in place of the file's order.
        laterality: 'OD' or 'OS', in place of the file's.

    Raises:
        InputError: A value is invalid.
    """

    spacing: Spacing | None = None
    threshold: float | None = None
    fovea: tuple[float, float] | None = None
    macula_centred: bool = False
    bottom_up: bool | None = None
    laterality: str | None = None

    def __post_init__(self) -> None:
        for name, valid, expected in (
            ('threshold', self.threshold is None or 0 < self.threshold < 1, 'a number between 0 and 1'),
            ('fovea', self.fovea is None or not self.macula_centred, 'this or macula_centred, not both'),
            ('laterality', self.laterality in (None, 'OD', 'OS'), "'OD' (right) or 'OS' (left)"),
        ):
            if not valid:
                raise InputError(f'{name} {getattr(self, name)}: expected {expected}')


def scale_of(scan: Scan, settings: Settings) -> tuple[Spacing | None, str | None, list[str]]:
    """Return the scale, its origin ('file', 'given' or None) and warnings about it."""
    spacing, theirs, warnings = settings.spacing, scan.spacing, []
    origin = 'file' if spacing is None else 'given'
    if spacing is None:
        spacing = theirs
    elif theirs is not None:
        if spacing.slice is None:
            spacing = replace(spacing, slice=theirs.slice)
        pairs = [(getattr(spacing, name), value) for name, value in vars(theirs).items() if value is not None]
        if any(our and abs(our / value - 1) > _DIFFERENT_SCALE for our, value in pairs):
            warnings.append(f'the given scale is used; the file says {", ".join(f"{value:g}" for _, value in pairs)} mm')
    if spacing is None:
        return None, None, [f'no scale: {scan.why_no_scale}, so nothing is in mm; give it (--spacing)']
    if scan.is_volume and (spacing.slice is None or scan.raster.uneven):
        spacing = replace(spacing, slice=None)
        reason = scan.raster.uneven or f'{scan.raster.doubt}; give the distance as third number of the scale (--spacing)'
        warnings.append(f'no volume in mm3: {reason}')
    return spacing, origin, warnings


@dataclass(frozen=True)
class ScanMeasurement:
    """Measurements of one B-scan."""

    index: int  # place in the volume, from 0
    height: int  # of the B-scan, px
    width: int  # px
    fluid_px: int  # pixels of fluid
    fluid_mm2: float | None  # their area; None without a scale
    pockets: int  # connected sets of fluid pixels (8-connected)
    largest_pocket_px: int  # pixels of the largest, 0 without fluid
    largest_pocket_mm2: float | None  # its area; None without a scale
    mean_probability: float | None  # of the pixels of fluid, in [0, 1]; None without fluid
    file: str = ''  # name of its file: in a folder of B-scans, each has its own


def measure_scan(
    index: int, mask: np.ndarray, probability: np.ndarray, spacing: Spacing | None, file: str = ''
) -> ScanMeasurement:
    """Measure one B-scan, number ``index`` of its scan, from a mask, bool (H, W), and probabilities in [0, 1] of that shape."""
    labels, pockets = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    fluid = int(np.count_nonzero(mask))
    largest = int(np.bincount(labels.ravel())[1:].max()) if pockets else 0
    area = None if spacing is None else spacing.pixel_mm2
    return ScanMeasurement(
        index=index,
        height=mask.shape[0],
        width=mask.shape[1],
        fluid_px=fluid,
        fluid_mm2=None if area is None else fluid * area,
        pockets=int(pockets),
        largest_pocket_px=largest,
        largest_pocket_mm2=None if area is None else largest * area,
        mean_probability=float(probability[mask].mean(dtype=np.float64)) if fluid else None,
        file=file,
    )


def above_retina(gray: np.ndarray, mask: np.ndarray) -> int:
    """Return the number of fluid pixels without retina above them.

    Retina is bright in the blurred scan, by Otsu's threshold, in at least 1 % of the rows above a pixel.

    Args:
        gray: Gray values, uint8 (H, W), filling at 255.
        mask: Where fluid is, bool (H, W).
    """
    if not mask.any():
        return 0
    smooth = cv2.GaussianBlur(np.where(gray == 255, 0, gray), (0, 0), 3)
    _, bright = cv2.threshold(smooth, 0, 1, cv2.THRESH_OTSU)
    return int(np.count_nonzero(mask & (np.cumsum(bright, axis=0, dtype=np.int32) < 0.01 * len(gray))))


@dataclass(frozen=True)
class SectorVolume:
    """Fluid in one sector of the ETDRS grid."""

    sector: str  # one of `SECTORS`
    fluid_mm3: float  # in the part of the sector that the scan covers
    covered: float  # share of the sector's area that the scan covers, in [0, 1]


def sector_volumes(
    thickness_px: np.ndarray, spacing: Spacing, fovea: tuple[float, float], laterality: str, bottom_up: bool
) -> list[SectorVolume]:
    """Return the fluid of a volume by sector of the ETDRS grid, in the order of `SECTORS`.

    Circles of 1, 3 and 6 mm around the fovea; diagonals cut the two rings into superior, nasal, inferior and temporal (Early
    Treatment Diabetic Retinopathy Study Research Group, Report 7, Ophthalmology 98:741, 1991).

    Args:
        thickness_px: Fluid pixels of each A-scan, (Z, W).
        spacing: Scale, with a distance between B-scans.
        fovea: (B-scan, column) of the fovea, from 0; fractions are fine.
        laterality: 'OD' or 'OS': nasal is to the right of a right eye's B-scan, to the left of a left eye's.
        bottom_up: The first B-scan is the lowest of the eye, as in Heidelberg's volumes; otherwise it is the highest.
    """
    z, x = np.meshgrid(*(np.arange(length, dtype=float) for length in thickness_px.shape), indexing='ij')
    up = (z - fovea[0]) * spacing.slice * (1 if bottom_up else -1)
    nasal = (x - fovea[1]) * spacing.lateral * (1 if laterality == 'OD' else -1)
    ring = np.digitize(np.hypot(up, nasal), [diameter / 2 for diameter in DIAMETERS_MM])
    side = np.where(np.abs(up) > np.abs(nasal), np.where(up > 0, 'S', 'I'), np.where(nasal > 0, 'N', 'T'))
    names = np.choose(ring, ['C', np.char.add(side, '1'), np.char.add(side, '2'), ''])
    pixel = spacing.lateral * spacing.slice
    fluid = thickness_px * spacing.axial * pixel
    inner, middle, outer = (np.pi * (diameter / 2) ** 2 for diameter in DIAMETERS_MM)
    areas = {'C': inner, '1': (middle - inner) / 4, '2': (outer - middle) / 4}
    found = []
    for sector in SECTORS:
        inside = names == sector
        covered = np.count_nonzero(inside) * pixel / areas[sector[-1]]
        found.append(SectorVolume(sector, float(fluid[inside].sum()), float(min(covered, 1.0))))
    return found


def sectors_of_volume(
    scan: Scan,
    thickness_px: np.ndarray,
    scale: Spacing | None,
    laterality: str | None,
    bottom_up: bool | None,
    settings: Settings,
) -> tuple[list[SectorVolume], list[str]]:
    """Return the volumes by sector if the user asks for them, or a warning if they are not possible."""
    if settings.fovea is None and not settings.macula_centred:
        return [], []
    needed = {
        'B-scans side by side': scan.is_volume,
        'a scale with the distance between B-scans': scale is not None and scale.slice is not None,
        'the side of the eye (--laterality)': laterality is not None,
        'which end of the eye the first B-scan is at (--first-bscan)': bottom_up is not None,
        'B-scans that run from side to side': scan.raster.horizontal is not False,
    }
    if missing := [name for name, known in needed.items() if not known]:
        return [], [f'no volumes by ETDRS sector: these need {" and ".join(missing)}']
    fovea = settings.fovea or ((thickness_px.shape[0] - 1) / 2, (thickness_px.shape[1] - 1) / 2)
    return sector_volumes(thickness_px, scale, fovea, laterality, bottom_up), []
