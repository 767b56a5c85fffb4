"""Windows of photographs at a random scale, cut without decoding or resizing the whole photograph for each of them.

MMSegmentation's `LoadImageFromFile`, `LoadAnnotations`, `RandomResize`, `RandomCrop` decode a photograph and resize all of it,
to keep one small window. `WindowFirst` stands in for the four: it draws scale and window first, with their own methods and so
the same random numbers, and computes the pixels of that window alone, from photographs that are decoded once.

The pixels are those of OpenCV's `resize` for 8-bit images, computed for the window's rows and columns only: nearest neighbour
for the mask, and for the image linear interpolation with its 11-bit weights (`modules/imgproc/src/resize.cpp`: coordinates
(x + 1/2) * scale - 1/2, rounded to float32; weights times 2048; of the sums along rows the last 4 bits are dropped before the
weighting along columns). OpenCV builds with other kernels may differ from this by 1 grey level.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile, RandomResize
from mmseg.datasets.transforms import LoadAnnotations, RandomCrop, Resize

from octfluid.utils.errors import InputError

HEAD = (LoadImageFromFile, LoadAnnotations, RandomResize, RandomCrop)
_ONE = 2048  # OpenCV's weights are whole numbers that sum to this


def nearest_index(source: int, target: int, positions: np.ndarray) -> np.ndarray:
    """Return which source pixels a nearest-neighbour resize takes along one axis, as OpenCV's ``INTER_NEAREST``.

    Args:
        source: Pixels before resizing.
        target: Pixels after resizing.
        positions: (n,) int, in 0 .. target - 1.

    Returns:
        (n,) int64, in 0 .. source - 1.
    """
    return np.minimum(np.floor(positions * (1.0 / (target / source))).astype(np.int64), source - 1)


def linear_taps(source: int, target: int, positions: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return which source pixels a linear resize mixes along one axis, and how much of each, as OpenCV's ``INTER_LINEAR``.

    Args:
        source: Pixels before resizing.
        target: Pixels after resizing.
        positions: (n,) int, in 0 .. target - 1.

    Returns:
        First and second source pixel (n,) int64, in 0 .. source - 1, equal beyond the centre of the outermost pixel; their
        weights (n,) int32, summing to 2048.
    """
    place = ((positions + 0.5) * (1.0 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(place).astype(np.int64)
    share = place - first.astype(np.float32)
    second_weight = np.rint(share * np.float32(_ONE)).astype(np.int32)
    return first.clip(0, source - 1), (first + 1).clip(0, source - 1), _ONE - second_weight, second_weight


def linear_window(image: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return some rows and columns of an image resized with OpenCV's ``INTER_LINEAR``.

    Args:
        image: (H, W) or (H, W, C) uint8.
        size: (height, width) after resizing.
        rows: (h,) int, rows of the resized image.
        columns: (w,) int, columns of the resized image.

    Returns:
        (h, w) or (h, w, C) uint8, a new array.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    y0, y1, b0, b1 = linear_taps(image.shape[0], size[0], rows)
    x0, x1, a0, a1 = linear_taps(image.shape[1], size[1], columns)
    needed, place = np.unique(np.concatenate([y0, y1]), return_inverse=True)
    # A row as one run of bytes keeps NumPy's innermost loops long: so an index and a weight for each channel of each column.
    left = int(x0.min())
    near, far = (((x - left)[:, None] * channels + np.arange(channels)).ravel() for x in (x0, x1))
    strip = image[needed, left : int(x1.max()) + 1].reshape(len(needed), -1)
    mixed = strip.take(near, axis=1) * np.repeat(a0, channels)
    mixed += strip.take(far, axis=1) * np.repeat(a1, channels)
    mixed >>= 4
    upper, lower = mixed[place[: len(rows)]], mixed[place[len(rows) :]]
    upper *= b0[:, None]
    lower *= b1[:, None]
    upper >>= 16
    lower >>= 16
    upper += lower
    upper += 2
    upper >>= 2
    return upper.astype(np.uint8).reshape(len(rows), len(columns), *image.shape[2:])


@dataclass(frozen=True)
class DecodedScan:
    """A photograph or B-scan in memory.

    Attributes:
        image: (H, W, 3) uint8 in the order blue, green, red, or (H, W) uint8; read-only.
        mask: (H, W) uint8, read-only.
        labels: The different values in the mask, ascending.
    """

    image: np.ndarray
    mask: np.ndarray
    labels: tuple[int, ...]


class _MaskWindow:
    """A window of a resized mask. `numpy.unique` of it, which `RandomCrop` asks for, counts its labels without sorting."""

    def __init__(self, pixels: np.ndarray, labels: Sequence[int]) -> None:
        self.pixels = pixels
        self.labels = labels

    def __array_function__(self, function: Callable, types: Any, args: Any, kwargs: Any) -> Any:
        if function is not np.unique or kwargs != {'return_counts': True}:
            return NotImplemented
        counts = np.array([np.count_nonzero(self.pixels == label) for label in self.labels])
        return np.array(self.labels)[counts > 0], counts[counts > 0]


class _ResizedImage:
    """An image as if it had been resized; slices of it are computed when asked for."""

    def __init__(self, scan: DecodedScan, size: tuple[int, int]) -> None:
        self.scan = scan
        self.shape = size + scan.image.shape[2:]

    def __getitem__(self, key: tuple) -> np.ndarray:
        rows, columns = (np.arange(length)[part] for part, length in zip(key[:2], self.shape[:2], strict=True))
        return linear_window(self.scan.image, self.shape[:2], rows, columns)


class _ResizedMask:
    """A mask as if it had been resized; slices of it are looked up when asked for."""

    def __init__(self, scan: DecodedScan, size: tuple[int, int]) -> None:
        self.scan = scan
        lengths = zip(scan.mask.shape, size, strict=True)
        self.rows, self.columns = (nearest_index(source, target, np.arange(target)) for source, target in lengths)

    def __getitem__(self, key: tuple) -> _MaskWindow:
        rows, columns = self.rows[key[0]], self.columns[key[1]]
        strip = self.scan.mask[rows, columns[0] : columns[-1] + 1]
        return _MaskWindow(strip.take(columns - columns[0], axis=1), self.scan.labels)


class WindowFirst(BaseTransform):
    """What the four transforms of `HEAD` do, for the window that they keep; see this module.

    Holds every scan that it was asked for decoded, 4 bytes a pixel in colour: 491 MB for the 15 training photographs of HRF
    (2336x3504) with their masks. Processes forked afterwards share them; each rank of a distributed training has its own. A
    copy or a pickle is empty, so that workers started by ``spawn`` decode for themselves what they need, once each. A file that
    has changed since is decoded again.

    Args:
        head: The four transforms, built.

    Raises:
        InputError: Other transforms, or settings of them that this could not reproduce.
    """

    def __init__(self, head: Sequence[Callable]) -> None:
        _refuse_other_pipelines(head)
        self.load_image, self.load_mask, self.resize, self.crop = head
        self._decoded: dict[str, tuple[tuple, DecodedScan]] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_decoded': {}}

    def fill(self, samples: Iterable[dict]) -> None:
        """Decode all these samples (as `transform` takes them), so that processes forked later share them."""
        for sample in samples:
            self._scan(sample)

    @property
    def bytes(self) -> int:
        """Memory taken by the decoded scans, in bytes."""
        return sum(scan.image.nbytes + scan.mask.nbytes for _, scan in self._decoded.values())

    def transform(self, results: dict) -> dict:
        """Cut one window.

        Args:
            results: A sample of `octfluid.datasets.fluid_dataset.FluidDataset.load_data_list`.

        Returns:
            The same dict with what the four transforms add to it.

        Raises:
            InputError: A file that is missing, cannot be decoded, or is not an 8-bit image, or a mask of another size than its
                image.
        """
        scan = self._scan(results)
        height, width = scan.mask.shape
        results['ori_shape'] = (height, width)
        results['scale'] = scale = self.resize._random_scale()
        keep_ratio = self.resize.resize.keep_ratio
        new_width, new_height = mmcv.rescale_size((width, height), scale) if keep_ratio else scale
        results['scale_factor'] = (new_width / width, new_height / height)
        results['keep_ratio'] = keep_ratio
        results['img'] = _ResizedImage(scan, (new_height, new_width))
        results['gt_seg_map'] = _ResizedMask(scan, (new_height, new_width))
        results['seg_fields'].append('gt_seg_map')
        results = self.crop(results)
        results['gt_seg_map'] = results['gt_seg_map'].pixels
        return results

    def _scan(self, sample: dict) -> DecodedScan:
        path = sample['img_path']
        state = file_state(path) + file_state(sample['seg_map_path'])
        known = self._decoded.get(path)
        if known is None or known[0] != state:
            known = self._decoded[path] = (state, self._decode(sample))
        return known[1]

    def _decode(self, sample: dict) -> DecodedScan:
        loaded = _load(self.load_image, {**sample, 'seg_fields': []}, sample['img_path'])
        loaded = _load(self.load_mask, loaded, sample['seg_map_path'])
        image, mask = loaded['img'], loaded['gt_seg_map']
        if image.dtype != np.uint8:
            raise InputError(f'{sample["img_path"]}: {image.dtype} pixels; expected 8 bits, or set window_first=False')
        if image.shape[:2] != mask.shape:
            sizes = ' and '.join('x'.join(map(str, shape)) for shape in (mask.shape, image.shape[:2]))
            raise InputError(f'{sample["seg_map_path"]}: mask and image are {sizes} pixels; expected the same size')
        image.setflags(write=False)
        mask.setflags(write=False)
        return DecodedScan(image, mask, tuple(np.flatnonzero(np.bincount(mask.ravel())).tolist()))


def file_state(path: str) -> tuple[int, int]:
    """Return what changes with a file's content: when it was last written, in ns, and its size in bytes.

    Raises:
        InputError: There is no such file.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f'{path}: {error.strerror}; expected an image, see tools/check_dataset.py') from error
    return status.st_mtime_ns, status.st_size


def _load(step: Callable, sample: dict, path: str) -> dict:
    try:
        return step(sample)
    except (AssertionError, cv2.error, OSError, SyntaxError, ValueError) as error:  # as OpenCV, mmcv and Pillow put it
        reason = getattr(error, 'strerror', None) or 'cannot be decoded as an image'
        raise InputError(f'{path}: {reason}; expected a whole image file, see tools/check_dataset.py') from error


def _refuse_other_pipelines(head: Sequence[Callable]) -> None:
    """Raise InputError unless these are the four transforms, with settings whose result can be computed for a window alone."""
    found = [type(step) for step in head]
    if found != list(HEAD):
        raise InputError(
            f'window_first=True: the pipeline begins with {", ".join(kind.__name__ for kind in found) or "nothing"}; expected '
            f'{", ".join(kind.__name__ for kind in HEAD)}; set window_first=False'
        )
    load_image, _, random_resize, _ = head
    resize = random_resize.resize
    wrong = [
        f'{owner}.{name} is {value!r}, expected {expected!r}'
        for owner, name, value, expected in (
            ('LoadImageFromFile', 'to_float32', load_image.to_float32, False),
            ('LoadImageFromFile', 'ignore_empty', load_image.ignore_empty, False),
            ('RandomResize', 'resize_type', type(resize).__name__, Resize.__name__),
            ('RandomResize', 'interpolation', getattr(resize, 'interpolation', None), 'bilinear'),
            ('RandomResize', 'backend', getattr(resize, 'backend', None), 'cv2'),
        )
        if value != expected
    ]
    if wrong:
        raise InputError(f'window_first=True: {wrong[0]}; set window_first=False')
