"""How far the boundaries of two masks lie apart: surface Dice and the 95 % Hausdorff distance.

A pixel of a mask is on its boundary when one of its four neighbours is outside the mask; beyond the border of the image
everything is outside. Distances are Euclidean, between centres of pixels, in pixels of the mask. MONAI's pixel-based functions
share this definition. DeepMind's ``surface-distance`` puts the surface between the pixels, and ``medpy``'s ``hd95`` takes one
percentile over both directions together: both give other numbers for the same masks.
"""

import numpy as np
from scipy.spatial import KDTree

TOLERANCES_PX = (1, 2)


def boundary(mask: np.ndarray) -> np.ndarray:
    """Mark the pixels of a mask that have one of their four neighbours, or the image's border, outside of it.

    Args:
        mask: (H, W) array of 0 and 1, or bool.

    Returns:
        (H, W) bool.
    """
    mask = np.asarray(mask, bool)
    around = np.pad(mask, 1)
    return mask & ~(around[:-2, 1:-1] & around[2:, 1:-1] & around[1:-1, :-2] & around[1:-1, 2:])


def boundary_distances(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure from each boundary pixel of one mask to the nearest boundary pixel of the other, both ways.

    Args:
        prediction: (H, W) array of 0 and 1, or bool.
        truth: The same.

    Returns:
        Two 1-D float64 arrays in pixels: from the prediction's boundary pixels, and from the ground truth's. An empty mask has
        no boundary pixels, and every distance to it is infinite.
    """
    predicted, true = np.argwhere(boundary(prediction)), np.argwhere(boundary(truth))
    if not (len(predicted) and len(true)):
        return np.full(len(predicted), np.inf), np.full(len(true), np.inf)
    # Boundaries are sparse: searching among their pixels is many times faster than a distance transform of a photograph.
    return KDTree(true).query(predicted)[0], KDTree(predicted).query(true)[0]


def surface_dice(distances: tuple[np.ndarray, np.ndarray], tolerance_px: float) -> float | None:
    """Return the share of both boundaries that lies within a tolerance of the other: the normalised surface Dice.

    Nikolov et al., J Med Internet Res 23:e26151, 2021, with pixels of the boundary in place of areas of a surface.

    Args:
        distances: From `boundary_distances`.
        tolerance_px: Largest distance that counts as right, in pixels, at least 0.

    Returns:
        A fraction in [0, 1]: 0.0 when exactly one mask is empty, None when both are, where it is undefined (0/0).
    """
    pixels = sum(map(len, distances))
    near = sum(int(np.count_nonzero(directed <= tolerance_px)) for directed in distances)
    return near / pixels if pixels else None


def hd95(distances: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Return the 95 % Hausdorff distance: the larger of the two directed 95th percentiles of boundary distances.

    Huttenlocher et al., IEEE TPAMI 15:850, 1993; the percentile is interpolated linearly between the two nearest ranks.

    Args:
        distances: From `boundary_distances`.

    Returns:
        Pixels, at least 0; None when a mask is empty, where no distance is finite.
    """
    return max(float(np.percentile(directed, 95)) for directed in distances) if all(map(len, distances)) else None


def surface_scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Return what a run record holds of an image: surface Dice at 1 and 2 pixels, and the 95 % Hausdorff distance.

    Args:
        prediction: (H, W) array of 0 and 1, or bool.
        truth: The same.
    """
    distances = boundary_distances(prediction, truth)
    return {f'surface_dice_{px}px': surface_dice(distances, px) for px in TOLERANCES_PX} | {'hd95_px': hd95(distances)}
