"""What is measured on a predicted mask: areas, pockets, thickness, volume."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from octfluid.io.scan import Spacing

_EIGHT_NEIGHBOURS = np.ones((3, 3), int)


@dataclass(frozen=True)
class ScanMeasurement:
    """Of one B-scan.

    Attributes:
        index: Place in the volume, from 0.
        height: Of the B-scan, px.
        width: Of the B-scan, px.
        fluid_px: Pixels of fluid.
        fluid_mm2: Their area, or None without a scale.
        pockets: Sets of fluid pixels that hang together by edges or corners (8-connected).
        largest_pocket_px: Pixels of the largest, 0 without fluid.
        largest_pocket_mm2: Its area, or None without a scale.
        mean_probability: Of the fluid's pixels, in [0, 1]; None without fluid.
        file: Name of the file that it is from: of a folder of B-scans, each has its own.
    """

    index: int
    height: int
    width: int
    fluid_px: int
    fluid_mm2: float | None
    pockets: int
    largest_pocket_px: int
    largest_pocket_mm2: float | None
    mean_probability: float | None
    file: str = ''


def measure_scan(
    index: int, mask: np.ndarray, probability: np.ndarray, spacing: Spacing | None, file: str = ''
) -> ScanMeasurement:
    """Measure one B-scan.

    Args:
        index: Its place in the volume, from 0.
        mask: bool (H, W).
        probability: float32 (H, W), in [0, 1].
        spacing: Scale, or None.
        file: Name of its file.
    """
    labels, pockets = ndimage.label(mask, _EIGHT_NEIGHBOURS)
    fluid = int(np.count_nonzero(mask))
    largest = int(np.bincount(labels.ravel())[1:].max()) if pockets else 0
    area = None if spacing is None else spacing.axial * spacing.lateral
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


def thickness(mask: np.ndarray) -> np.ndarray:
    """Return how many pixels of each A-scan are fluid: int32 (W,), from a mask (H, W)."""
    return np.count_nonzero(mask, axis=0).astype(np.int32)


def volume_mm3(fluid_px: Sequence[int], spacing: Spacing | None) -> float | None:
    """Return the fluid's volume: each B-scan stands for a slab as thick as the distance to the next.

    Args:
        fluid_px: Pixels of fluid of each B-scan.
        spacing: Scale; None, or without a distance between B-scans, gives None.
    """
    if spacing is None or spacing.slice is None:
        return None
    return sum(fluid_px) * spacing.axial * spacing.lateral * spacing.slice
