"""Volume of fluid in the nine sectors of the ETDRS grid.

Circles of 1, 3 and 6 mm around the fovea; the two rings are cut along the diagonals into superior, nasal, inferior and temporal
(Early Treatment Diabetic Retinopathy Study Research Group, Report 7, Ophthalmology 98:741, 1991).
"""

from dataclasses import dataclass

import numpy as np

from octfluid.io.scan import Spacing

DIAMETERS_MM = (1.0, 3.0, 6.0)
SECTORS = ('C', 'S1', 'N1', 'I1', 'T1', 'S2', 'N2', 'I2', 'T2')
"""Centre; then superior, nasal, inferior, temporal of the inner ring (1) and of the outer (2)."""


@dataclass(frozen=True)
class SectorVolume:
    """Of one sector.

    Attributes:
        sector: One of `SECTORS`.
        fluid_mm3: Volume of fluid within it, as far as the scan covers it.
        covered: Share of the sector's area that the scan covers, in [0, 1].
    """

    sector: str
    fluid_mm3: float
    covered: float


def sector_volumes(
    thickness_px: np.ndarray, spacing: Spacing, fovea: tuple[float, float], laterality: str, bottom_up: bool
) -> list[SectorVolume]:
    """Share the fluid of a volume out among the sectors.

    Args:
        thickness_px: Fluid pixels of each A-scan, (Z, W).
        spacing: Scale, with a distance between B-scans.
        fovea: (B-scan, column) of the fovea, from 0; fractions are fine.
        laterality: 'OD' or 'OS': nasal is to the right of a right eye's B-scan, to the left of a left eye's.
        bottom_up: Whether the first B-scan is the lowest of the eye, as Heidelberg's volumes have it, or the highest.

    Returns:
        In the order of `SECTORS`.
    """
    z, x = np.meshgrid(*(np.arange(length, dtype=float) for length in thickness_px.shape), indexing='ij')
    up = (z - fovea[0]) * spacing.slice * (1 if bottom_up else -1)
    nasal = (x - fovea[1]) * spacing.lateral * (1 if laterality == 'OD' else -1)
    names = sectors_of(up, nasal)
    pixel = spacing.lateral * spacing.slice
    fluid = thickness_px * spacing.axial * pixel
    inner, middle, outer = (np.pi * (diameter / 2) ** 2 for diameter in DIAMETERS_MM)
    areas = {'C': inner, '1': (middle - inner) / 4, '2': (outer - middle) / 4}
    found = []
    for sector in SECTORS:
        inside = names == sector
        covered = np.count_nonzero(inside) * pixel / areas[sector if sector == 'C' else sector[1]]
        found.append(SectorVolume(sector, float(fluid[inside].sum()), float(min(covered, 1.0))))
    return found


def sectors_of(up: np.ndarray, nasal: np.ndarray) -> np.ndarray:
    """Return the sector of each point, '' outside of the grid.

    Args:
        up: mm above the fovea.
        nasal: mm from the fovea towards the nose; the same shape.
    """
    distance = np.hypot(up, nasal)
    ring = np.digitize(distance, [diameter / 2 for diameter in DIAMETERS_MM])
    side = np.where(np.abs(up) > np.abs(nasal), np.where(up > 0, 'S', 'I'), np.where(nasal > 0, 'N', 'T'))
    return np.choose(ring, ['C', np.char.add(side, '1'), np.char.add(side, '2'), ''])
