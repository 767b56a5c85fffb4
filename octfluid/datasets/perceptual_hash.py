"""Finding pictures that show the same, whatever their names and formats."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

_SIDE = 16
_CLOSE = 32
"""Bits of `PictureHash.outline` in which copies of a scan differ at most: JPEG of quality 60, or another brightness, changes up
to 30 of 256; between two of the 110 Duke scans there are at least 54."""
_FLAT = 16
"""The outline of a picture with fewer bits set, such as a black one, says nothing."""


class PictureHash(NamedTuple):
    """Digest of a picture's size and pixels, and its "difference hash", similar for a compressed, resized or brightened copy.

    ``outline`` has 256 bits: whether gray rises from each of 17x16 cells to the one on its right. 0 for a picture in colours:
    photographs of different eyes are as alike as copies of a scan.
    """

    pixels: str
    outline: int


def hash_picture(pixels: np.ndarray) -> PictureHash:
    """Hash a picture: (H, W) or (H, W, channels), of any integer or boolean type."""
    digest = hashlib.sha256(f'{pixels.shape} {pixels.dtype}'.encode())
    digest.update(np.ascontiguousarray(pixels))
    gray = pixels.reshape(*pixels.shape[:2], -1)
    if not (gray == gray[:, :, :1]).all():
        return PictureHash(digest.hexdigest(), 0)
    small = cv2.resize(gray[:, :, 0].astype(np.float32), (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA)
    bits = np.packbits(small[:, 1:] > small[:, :-1])
    return PictureHash(digest.hexdigest(), int.from_bytes(bits.tobytes()))


def same_pictures(train: Sequence[str], val: Sequence[str], hashes: Mapping[str, PictureHash]) -> list[tuple[str, str, bool]]:
    """Find pictures of ``val`` that show the same as one of ``train``; skip names on both sides and without a hash.

    Returns:
        (name in ``val``, name in ``train``, whether all pixels are equal, else they are only much alike), in the order of
        ``val``; each name of ``val`` once.
    """
    known = {name: hashes[name] for name in train if name in hashes}
    by_pixels = {one.pixels: name for name, one in reversed(known.items())}
    outlines = [(one.outline, name) for name, one in known.items() if one.outline.bit_count() >= _FLAT]
    found = []
    for name in val:
        if name in known or name not in hashes:
            continue
        one = hashes[name]
        if original := by_pixels.get(one.pixels):
            found.append((name, original, True))
        elif one.outline.bit_count() >= _FLAT and outlines:
            bits, original = min(((one.outline ^ outline).bit_count(), original) for outline, original in outlines)
            found += [(name, original, False)] if bits <= _CLOSE else []
    return found
