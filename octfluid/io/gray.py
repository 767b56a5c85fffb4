"""Gray values 0..255 from whatever numbers a file holds."""

import cv2
import numpy as np

from octfluid.utils.errors import InputError

_BITS = (8, 10, 12, 14, 16)
_COLOUR = 24  # levels between the channels of a pixel, from which on it is no shade of gray: JPEG leaves less


def coloured_share(rgb: np.ndarray) -> float:
    """Return the share of pixels that are no shade of gray; ``rgb`` is uint8 (H, W, 3)."""
    return float(np.mean(np.ptp(rgb.astype(np.int16), axis=2) > _COLOUR))


def highest(values: np.ndarray, where: str) -> float:
    """Return the greatest value, having checked all.

    Args:
        values: Of any real type and shape, not empty.
        where: File, for messages.

    Raises:
        InputError: NaN, infinite or negative values.
    """
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
        raise InputError(f'{where}: holds NaN or infinite values; expected gray values')
    if values.dtype.kind in 'if' and values.min() < 0:
        raise InputError(f'{where}: holds values down to {values.min():g}; expected gray values, 0 or more')
    return float(values.max())


def white_of(values: np.dtype, top: float) -> float:
    """Return the value that means white.

    Args:
        values: Type of the numbers.
        top: The greatest of them in the whole file.

    Returns:
        255 for bytes; 1 for truth values, and for fractions up to 1; else the greatest number of 8, 10, 12, 14 or 16 bits that
        ``top`` fits into, since devices store 12 bits in words of 16; beyond those ``top`` itself.
    """
    if values.kind == 'b' or (values.kind == 'f' and top <= 1):
        return 1.0
    if values == np.uint8:
        return 255.0
    return next((float((1 << bits) - 1) for bits in _BITS if top <= (1 << bits) - 1), top)


def to_gray(values: np.ndarray, white: float) -> np.ndarray:
    """Return gray values 0..255, (H, W): bytes as they are, else float32.

    Args:
        values: (H, W), checked by `highest`.
        white: From `white_of`.
    """
    if values.dtype == np.uint8 and white == 255:
        return values
    return np.clip(values.astype(np.float32) * np.float32(255 / white), 0, 255)


def whiten_filling(gray: np.ndarray) -> np.ndarray:
    """Bring what a device has filled in beside a scan to 255, where the file has it darker.

    Devices fill with white what a scan that was turned into place leaves empty, and networks leave it out of account by its
    value. In files that were scaled, cut or written with more bits the value is another: it is known here as the greatest, if
    squares of 5x5 pixels have it.

    Args:
        gray: (H, W), gray values 0..255; not changed.
    """
    top = gray.max()
    if not 128 <= top < 254.5:
        return gray
    at_top = (gray == top).astype(np.uint8)
    if not cv2.erode(at_top, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0).any():
        return gray
    changed = gray.copy()
    changed[at_top == 1] = 255
    return changed
