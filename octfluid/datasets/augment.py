"""Random changes of gray values, and windows around fluid, for training on OCT scans.

Every transform draws from NumPy's global generator, which `octfluid.datasets.fluid_dataset.seeded_draws` seeds for each sample.
Those of gray values take and return scans with values 0..255; positions and masks stay as they are.
"""

from abc import abstractmethod

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets import transforms as stock
from mmseg.registry import TRANSFORMS

from octfluid.datasets.standardize import BLACK, WHITE

DARKEST, BRIGHTEST = 1.0, 254.0
"""Gray values next to those of fillings."""
LEAST_FILLING = 200
"""Pixels of a filling. Single black pixels are speckle, at native resolution almost one in ten."""


def filling(scan: np.ndarray) -> np.ndarray:
    """Return which pixels, of gray values (H, W), are of a black or white area of at least `LEAST_FILLING` pixels: bool (H, W).

    Devices fill with these what an aligned scan leaves empty.
    """
    extreme = (scan <= BLACK) | (scan >= WHITE)
    if not extreme.any():
        return extreme
    _, labels, stats, _ = cv2.connectedComponentsWithStats(extreme.astype(np.uint8), connectivity=4)
    return extreme & (stats[:, cv2.CC_STAT_AREA] >= LEAST_FILLING)[labels]


class _RandomGray(BaseTransform):
    """Change the gray values of ``img``, (H, W) with values 0..255, with a probability; the result is float32.

    A `filling` stays as it is: `octfluid.datasets.standardize.standardize` leaves it out. For the same reason no other pixel
    becomes black or white.

    ``prob`` is in [0, 1]; what the subclass draws is uniform in [``low``, ``high``], both at least 0.
    """

    def __init__(self, prob: float, low: float, high: float) -> None:
        self.prob, self.low, self.high = prob, low, high

    def transform(self, results: dict) -> dict:
        """Draw, and replace ``img`` or leave it."""
        if np.random.random() < self.prob:
            scan = np.asarray(results['img'], dtype=np.float32)
            changed = self._change(scan, np.random.uniform(self.low, self.high)).clip(DARKEST, BRIGHTEST)
            results['img'] = np.where(filling(scan), scan, changed).astype(np.float32)
        return results

    @abstractmethod
    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        """Return the changed scan; values beyond `DARKEST` and `BRIGHTEST` are cut off afterwards."""


@TRANSFORMS.register_module()
class RandomGamma(_RandomGray):
    """Raise gray values, as fractions of 255, to a random power in [``low``, ``high``]."""

    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        return 255 * (scan / 255) ** amount


@TRANSFORMS.register_module()
class RandomSpeckle(_RandomGray):
    """Multiply each pixel by its own normal factor of mean 1 and a random standard deviation in [``low``, ``high``].

    Speckle grows with the signal; this is the usual multiplicative model of it, without the correlation between pixels.
    """

    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        return scan * np.random.normal(1, amount, scan.shape)


@TRANSFORMS.register_module()
class RandomNoise(_RandomGray):
    """Add Gaussian noise, a noise floor, with a random standard deviation in [``low``, ``high``] gray values."""

    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        return scan + np.random.normal(0, amount, scan.shape)


@TRANSFORMS.register_module()
class RandomBlur(_RandomGray):
    """Blur with a Gaussian whose standard deviation, in pixels, is random in [``low``, ``high``]."""

    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        return cv2.GaussianBlur(scan, (0, 0), amount)


@TRANSFORMS.register_module()
class RandomLowResolution(_RandomGray):
    """Reduce to a random fraction in [``low``, ``high``] of height and width, and enlarge to the former size."""

    def _change(self, scan: np.ndarray, amount: float) -> np.ndarray:
        height, width = scan.shape
        small = max(round(width * amount), 1), max(round(height * amount), 1)
        return cv2.resize(cv2.resize(scan, small, interpolation=cv2.INTER_AREA), (width, height))


# It replaces mmseg's class of this name.
@TRANSFORMS.register_module(force=True)
class RandomCrop(stock.RandomCrop):
    """mmseg's `RandomCrop`: the same windows from the same draws, with labels, from 0, counted many times as fast."""

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw first and last row and column (exclusive) of a window; up to 11 times if ``cat_max_ratio`` is below 1."""
        margins = [max(side - pixels, 0) for side, pixels in zip(results['img'].shape, self.crop_size, strict=False)]
        for more in range(10 if self.cat_max_ratio < 1 else 0, -1, -1):
            start = [np.random.randint(0, margin + 1) for margin in margins]
            window = (start[0], start[0] + self.crop_size[0], start[1], start[1] + self.crop_size[1])
            if more:
                counts = np.bincount(self.crop(results['gt_seg_map'], window).ravel())
                counts = counts[(counts > 0) & (np.arange(len(counts)) != self.ignore_index)]
                if len(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio:
                    break
        return window


@TRANSFORMS.register_module()
class FluidCrop(BaseTransform):
    """Cut a window, with a probability one that holds a random pixel of fluid, else one from anywhere.

    Without this most windows hold none: fluid covers less than one pixel in a hundred. The fluid's pixel lies anywhere in the
    window, (height, width) pixels. A smaller scan keeps its size along that side; the data preprocessor pads it.
    """

    def __init__(self, crop_size: tuple[int, int], prob: float = 0.33, label: int = 1) -> None:
        self.crop_size, self.prob, self.label = tuple(crop_size), prob, label

    def transform(self, results: dict) -> dict:
        """Cut ``img`` and every field of ``seg_fields``, and set ``img_shape``."""
        shape = results['img'].shape[:2]
        window = [min(pixels, side) for pixels, side in zip(self.crop_size, shape, strict=True)]
        ranges = [(0, side - pixels) for pixels, side in zip(window, shape, strict=True)]
        if np.random.random() < self.prob:
            fluid = np.argwhere(results['gt_seg_map'] == self.label)
            if len(fluid):
                pixel = fluid[np.random.randint(len(fluid))]
                ranges = [
                    (max(low, place - pixels + 1), min(high, place))
                    for (low, high), place, pixels in zip(ranges, pixel, window, strict=True)
                ]
        start = [np.random.randint(low, high + 1) for low, high in ranges]
        cut = tuple(slice(first, first + pixels) for first, pixels in zip(start, window, strict=True))
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = results[key][cut]
        results['img_shape'] = results['img'].shape[:2]
        return results
