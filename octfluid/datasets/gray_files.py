"""Reading single scans and masks of any device as gray pictures: 8 bits a scan, 0 and 1 a mask."""

from pathlib import Path

import numpy as np

from octfluid.io.images import load_picture
from octfluid.io.scan import highest, to_gray, white_of
from octfluid.utils.errors import InputError

_MODES = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'I', 'I;16', 'I;16B', 'I;16L', 'F')
_WITH_ALPHA = ('LA', 'RGBA')


def read_scan(path: Path) -> np.ndarray:
    """Return a scan as uint8 (H, W); more bits are scaled by the number of them in use.

    Raises:
        InputError: No picture, or none in gray of 8 or 16 bits.
    """
    pixels = _read_gray(path)
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(to_gray(pixels, white_of(pixels.dtype, highest(pixels, str(path))))).astype(np.uint8)


def read_mask(path: Path) -> np.ndarray:
    """Return a mask of 0, and 1 or white, as uint8 (H, W) of 0 and 1.

    Raises:
        InputError: No picture, none in gray, or one with other values.
    """
    pixels = _read_gray(path)
    values = np.unique(pixels)
    if not any(set(values) <= {0, fluid} for fluid in (1, 255, 65535)):
        raise InputError(f'{path}: a mask with the values {", ".join(map(str, values[:6]))}; expected 0 and 1, or 0 and 255')
    return (pixels > 0).astype(np.uint8)


def _read_gray(path: Path) -> np.ndarray:
    """Return uint8 or uint16 (H, W)."""
    image = load_picture(path)
    if image.mode not in _MODES:
        raise InputError(f'{path}: its colours are kept as {image.mode}; expected a gray picture, convert it first')
    if image.mode in _WITH_ALPHA and image.getchannel('A').getextrema() != (255, 255):
        raise InputError(f'{path}: is transparent in part, which may be what it shows; expected gray alone, convert it first')
    kept_as = {'1': 'L', 'LA': 'L', 'P': 'RGB'}  # a palette's numbers mean nothing, what is seen are its colours
    pixels = np.asarray(image.convert(kept_as[image.mode]) if image.mode in kept_as else image)
    if pixels.ndim == 3:
        gray = pixels[..., 0]
        if (pixels[..., :3] != gray[..., None]).any():
            raise InputError(f'{path}: is in colour; expected gray')
        pixels = gray
    if pixels.dtype.kind == 'u' and pixels.dtype.itemsize == 2:
        return pixels.astype(np.uint16)
    if pixels.dtype != np.uint8:
        raise InputError(f'{path}: has {pixels.dtype} pixels; expected 8 or 16 bits, convert it first')
    return np.ascontiguousarray(pixels)
