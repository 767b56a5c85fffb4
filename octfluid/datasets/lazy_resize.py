"""Resizing of photographs, computed only for the window that a crop then takes: many times as many HRF samples a second.

The mask's pixels are those of OpenCV's `resize` with nearest neighbours. The image is sampled at the same places with OpenCV's
linear interpolation (`remap`), whose weights have fewer bits: a gray value may differ by 1.
"""

from collections.abc import Callable, Sequence

import cv2
import mmcv
import numpy as np
from mmcv.transforms import RandomResize
from mmseg.datasets.transforms import Resize

from octfluid.datasets.augment import RandomCrop
from octfluid.utils.errors import InputError


def nearest_window(mask: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return some rows and columns of a mask, (H, W), resized with OpenCV's ``INTER_NEAREST``; see `linear_window`."""
    axes = zip(mask.shape, size, (rows, columns), strict=True)
    y, x = [np.minimum((places * (1.0 / (target / source))).astype(int), source - 1) for source, target, places in axes]
    return mask[y, x[0] : x[-1] + 1].take(x - x[0], axis=1)


def linear_window(image: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return ``rows`` (h,) and ``columns`` (w,) of an image resized to ``size`` (height, width) with linear interpolation.

    The image is (H, W) or (H, W, C) uint8, the result (h, w) or (h, w, C).
    """
    axes = zip(image.shape[:2], size, (rows, columns), strict=True)
    y, x = [(places + 0.5) * (source / target) - 0.5 for source, target, places in axes]
    top, left = max(int(y[0]), 0), max(int(x[0]), 0)
    part = image[top : int(y[-1]) + 2, left : int(x[-1]) + 2]  # remap takes pictures of up to 32767 pixels a side
    places = np.meshgrid((x - left).astype(np.float32), (y - top).astype(np.float32))
    return cv2.remap(part, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


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
