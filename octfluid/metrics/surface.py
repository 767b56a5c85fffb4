"""How far the boundaries of two masks lie apart: surface Dice and the 95 % Hausdorff distance.

A pixel of a mask is on its boundary when one of its four neighbours is outside the mask; beyond the border of the image
everything is outside. Distances are Euclidean, between centres of pixels, in pixels of the mask. MONAI's pixel-based functions
share this definition. DeepMind's ``surface-distance`` puts the surface between the pixels, and ``medpy``'s ``hd95`` takes one
percentile over both directions together: both give other numbers for the same masks.
"""

import cv2
import numpy as np
from scipy.spatial import KDTree

FOUR_NEIGHBOURS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

Distances = tuple[np.ndarray, np.ndarray]


def boundary_distances(prediction: np.ndarray, truth: np.ndarray) -> Distances:
    """Measure from each boundary pixel of one mask, (H, W) of 0 and 1, to the nearest one of the other, both ways.

    Returns:
        Two 1-D float64 arrays in pixels: from the prediction's boundary pixels, and from the ground truth's. An empty mask has
        no boundary pixels, and every distance to it is infinite.
    """
    masks = (np.asarray(mask, bool).astype(np.uint8) for mask in (prediction, truth))
    inside = dict(kernel=FOUR_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    predicted, true = (np.argwhere(mask > cv2.erode(mask, **inside)) for mask in masks)
    if not (len(predicted) and len(true)):
        return np.full(len(predicted), np.inf), np.full(len(true), np.inf)
    # Boundaries are sparse: searching among their pixels is many times faster than a distance transform of a photograph.
    return KDTree(true).query(predicted)[0], KDTree(predicted).query(true)[0]


def surface_dice(distances: Distances, tolerance_px: float) -> float | None:
    """Return the share of both boundaries, in [0, 1], that lies within a tolerance in pixels of the other.

    Nikolov et al., J Med Internet Res 23:e26151, 2021, with pixels of the boundary in place of areas of a surface. It is 0.0
    when exactly one mask is empty, and None when both are (0/0).
    """
    pixels = sum(map(len, distances))
    near = sum(int(np.count_nonzero(directed <= tolerance_px)) for directed in distances)
    return near / pixels if pixels else None


def hd95(distances: Distances) -> float | None:
    """Return the larger of the two directed 95th percentiles of boundary distances, in pixels; None when a mask is empty.

    Huttenlocher et al., IEEE TPAMI 15:850, 1993; the percentile is interpolated linearly between the two nearest ranks.
    """
    return max(float(np.percentile(directed, 95)) for directed in distances) if all(map(len, distances)) else None


def surface_scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Return what a run record holds of two masks, (H, W) of 0 and 1: surface Dice at 1 and 2 pixels, and ``hd95_px``."""
    distances = boundary_distances(prediction, truth)
    return {f'surface_dice_{px}px': surface_dice(distances, px) for px in (1, 2)} | {'hd95_px': hd95(distances)}
