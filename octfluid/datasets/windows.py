"""Resizing of photographs, computed only for the window that a crop then takes: several times as many HRF samples a second.

The pixels are those of OpenCV's `resize` for 8-bit images: nearest neighbour for the mask, and for the image linear
interpolation with its 11-bit weights (`modules/imgproc/src/resize.cpp`: coordinates (x + 1/2) * scale - 1/2, rounded to
float32; weights times 2048; of the sums along rows the last 4 bits are dropped before the weighting along columns). OpenCV
builds with other kernels may differ from this by 1 gray level.
"""

from collections.abc import Callable, Sequence

import mmcv
import numpy as np
from mmcv.transforms import RandomResize
from mmseg.datasets.transforms import Resize

from octfluid.datasets.augment import RandomCrop
from octfluid.utils.errors import InputError

_ONE = 2048  # OpenCV's weights are whole numbers that sum to this


def nearest_window(mask: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return some rows and columns of a mask, (H, W), resized with OpenCV's ``INTER_NEAREST``; see `linear_window`."""
    axes = zip(mask.shape, size, (rows, columns), strict=True)
    y, x = [np.minimum((places * (1.0 / (target / source))).astype(int), source - 1) for source, target, places in axes]
    return mask[y, x[0] : x[-1] + 1].take(x - x[0], axis=1)


def linear_window(image: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``rows`` (h,) and ``columns`` (w,) of an image resized to ``size`` (height, width) with ``INTER_LINEAR``.

    The image is (H, W) or (H, W, C) uint8, the result (h, w) or (h, w, C).
    """
    y0, y1, b0, b1 = _linear_taps(image.shape[0], size[0], rows)
    x0, x1, a0, a1 = _linear_taps(image.shape[1], size[1], columns)
    # A row as one run of bytes keeps NumPy's innermost loops long: so an index and a weight for each channel of each column.
    channels = image.shape[2] if image.ndim == 3 else 1
    left = x0.min()
    strip = image[:, left : x1.max() + 1]
    near, far = (((x - left)[:, None] * channels + np.arange(channels)).ravel() for x in (x0, x1))
    a0, a1 = a0.repeat(channels), a1.repeat(channels)

    def weighted(y: np.ndarray, weight: np.ndarray) -> np.ndarray:
        part = strip[y].reshape(len(y), -1)
        return (part.take(near, axis=1) * a0 + part.take(far, axis=1) * a1 >> 4) * weight[:, None] >> 16

    pixels = weighted(y0, b0) + weighted(y1, b1) + 2 >> 2
    return pixels.astype(np.uint8).reshape(len(rows), len(columns), *image.shape[2:])


def _linear_taps(source: int, target: int, positions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the two source pixels that each position mixes along one axis, and their weights, int32, summing to 2048."""
    place = ((positions + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    second_weight = np.rint((place - first.astype(np.float32)) * np.float32(_ONE)).astype(np.int32)
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), _ONE - second_weight, second_weight


class _Resized:
    """A picture as if it had been resized; slices of it are computed when asked for."""

    def __init__(self, pixels: np.ndarray, size: tuple[int, int], window: Callable[..., np.ndarray]) -> None:
        self.pixels, self.window = pixels, window
        self.shape = (*size, *pixels.shape[2:])

    def __getitem__(self, key: tuple) -> np.ndarray:
        rows, columns = (np.arange(length)[part] for part, length in zip(key[:2], self.shape[:2], strict=True))
        return self.window(self.pixels, self.shape[:2], rows, columns)


class WindowResize(Resize):
    """mmseg's `Resize` for pipelines in which a crop comes next: computes only the pixels that the crop takes."""

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        scale = results['scale']
        new_width, new_height = mmcv.rescale_size((width, height), scale) if self.keep_ratio else scale
        results['img'] = _Resized(results['img'], (new_height, new_width), linear_window)
        results['img_shape'] = (new_height, new_width)
        results['scale_factor'] = (new_width / width, new_height / height)
        results['keep_ratio'] = self.keep_ratio

    def _resize_seg(self, results: dict) -> None:
        for key in results['seg_fields']:
            results[key] = _Resized(results[key], results['img_shape'], nearest_window)


def use_windows(steps: Sequence[Callable]) -> None:
    """Have a `RandomResize` compute, in place, only the windows that the `RandomCrop` after it takes.

    Raises:
        InputError: The pipeline's first transforms are others, or it does not resize linearly with OpenCV.
    """
    if [type(step) for step in steps[:2]] == [RandomResize, RandomCrop]:
        resize = steps[0].resize
        if type(resize) is Resize and (resize.interpolation, resize.backend) == ('bilinear', 'cv2'):
            steps[0].resize = WindowResize(scale=(1, 1), keep_ratio=resize.keep_ratio)
            return
    raise InputError(
        'window_first=True: expected a pipeline of LoadImageFromFile, LoadAnnotations, RandomResize (bilinear, by cv2) and '
        'RandomCrop; set window_first=False'
    )
