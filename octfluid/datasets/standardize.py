"""Gray values of a scan on a common scale: part of training pipelines, of the network and of the exported model alike."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS
from torch import Tensor

LOWEST, HIGHEST = -4.0, 8.0
"""Standard deviations from the mean at which gray values are cut off."""
BLACK, WHITE = 0.5, 254.5
"""Gray values at or beyond these do not count: devices fill with black or white what an aligned scan leaves empty."""

LEAST_DEVIATION = 1.0
"""Of gray values, below which a scan shows nothing."""


def _statistics(scans: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean, standard deviation and number of the pixels that count, each (..., 1, 1)."""
    counted = ((scans > BLACK) & (scans < WHITE)).to(scans.dtype)
    number = counted.sum(dim=(-2, -1), keepdim=True)
    share = counted / number.clamp(min=1)
    mean = (scans * share).sum(dim=(-2, -1), keepdim=True)
    return mean, ((scans - mean).square() * share).sum(dim=(-2, -1), keepdim=True).sqrt(), number


def has_contrast(scans: Tensor) -> Tensor:
    """Return 1 for each scan whose counted pixels vary by at least `LEAST_DEVIATION`, 0 for a black, white or even frame.

    Shapes and dtypes are (..., H, W) to (..., 1, 1), as given.
    """
    return (_statistics(scans)[1] >= LEAST_DEVIATION).to(scans.dtype)


def standardize(scans: Tensor) -> Tensor:
    """Bring each scan, (..., H, W) of float gray values 0..255, to mean 0 and standard deviation 1.

    Mean and (population) standard deviation are those of the pixels strictly between `BLACK` and `WHITE`, because the white or
    black wedges of a scan that was turned into place say nothing about its tissue. The result is cut off at `LOWEST` and
    `HIGHEST`. A scan without such a pixel becomes 0 everywhere.
    """
    mean, deviation, number = _statistics(scans)
    standard = (scans - mean) / (deviation + 1e-3)
    return standard.clamp(LOWEST, HIGHEST) * (number > 0).to(scans.dtype)


@TRANSFORMS.register_module()
class StandardizeScan(BaseTransform):
    """Apply `standardize` to ``img``, a gray scan of (H, W) with values 0..255; it becomes float32.

    For training pipelines, before what cuts a window: the statistics are those of the whole scan, as in `ScanSegmentor`.
    """

    def transform(self, results: dict) -> dict:
        """Replace ``img``."""
        scan = np.ascontiguousarray(results['img'], dtype=np.float32)
        results['img'] = standardize(torch.from_numpy(scan)).numpy()
        return results
