"""Checks of single image and mask files: readable, 8-bit gray, of the expected size, and masks with class numbers only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from octfluid.datasets.perceptual_hash import Looks, looks_of
from octfluid.io.images import load_picture
from octfluid.utils.errors import InputError

# Pillow's modes in words, for messages.
_MODES = {
    '1': '1-bit',
    'L': '8-bit gray',
    'LA': 'gray with transparency',
    'P': 'palette',
    'RGB': 'RGB',
    'RGBA': 'RGB with transparency',
    'I': '16- or 32-bit',
    'I;16': '16-bit',
    'I;16B': '16-bit',
    'F': 'float',
}
IMAGE_MODES = ('L', 'RGB')
"""Pillow's modes that a scan may have, unless its data set allows fewer."""

_MOST_VALUES = 8


@dataclass(frozen=True)
class MaskStats:
    """What one mask holds.

    Attributes:
        foreground: Pixels of a class other than 0.
        valid: Pixels that are not ignored.
        classes: Classes with at least one pixel.
    """

    foreground: int
    valid: int
    classes: frozenset[int]


@dataclass(frozen=True)
class ImageStats:
    """What one image is.

    Attributes:
        shape: (height, width) in pixels.
        looks: How it looks, whatever its name and format.
        even: All its pixels are alike, so that it shows nothing.
    """

    shape: tuple[int, int]
    looks: Looks
    even: bool = False


def check_image(
    path: Path, size: tuple[int, int] | None, modes: Sequence[str] = IMAGE_MODES
) -> tuple[ImageStats | None, list[str]]:
    """Check one image.

    Args:
        path: The file.
        size: Expected (height, width) in pixels, or None.
        modes: Pillow's names of the pixel formats that are allowed, the usual one first.

    Returns:
        What it is, None if unreadable; and its problems.
    """
    mode, pixels, problems = _open(path)
    if pixels is None:
        return None, problems
    if mode not in modes:
        usual, *others = map(_words, modes)
        expected = usual + ''.join(f' (or {other})' for other in others)
        problems.append(f'{path}: is a {_words(mode)} image; expected {expected}')
    even = bool(pixels.min() == pixels.max())
    return ImageStats(pixels.shape[:2], looks_of(pixels), even), problems + _wrong_size(path, pixels.shape[:2], size)


def check_mask(
    path: Path, size: tuple[int, int] | None, classes: int, ignore_index: int | None
) -> tuple[MaskStats | None, list[str]]:
    """Check one mask.

    Args:
        path: The file.
        size: Expected (height, width) in pixels, or None.
        classes: Number of classes; the mask may hold 0 .. classes - 1.
        ignore_index: A further value that is allowed, or None.

    Returns:
        Pixel counts, None if the file is unreadable or holds no class numbers; and its problems.
    """
    mode, pixels, problems = _open(path)
    if pixels is None:
        return None, problems
    problems += _wrong_size(path, pixels.shape[:2], size)
    if mode != 'L':
        return None, [*problems, f'{path}: is a {_words(mode)} image; expected an 8-bit gray mask that holds class numbers']
    values = np.flatnonzero(np.bincount(pixels.ravel(), minlength=256))
    wrong = [int(value) for value in values if value >= classes and value != ignore_index]
    if wrong:
        return None, [*problems, f'{path}: {_wrong_values(values, wrong, classes, ignore_index)}']
    counts = {int(value): int(np.count_nonzero(pixels == value)) for value in values if value != ignore_index}
    foreground = sum(count for value, count in counts.items() if value)
    return MaskStats(foreground, sum(counts.values()), frozenset(counts)), problems


def _open(path: Path) -> tuple[str, np.ndarray | None, list[str]]:
    try:
        image = load_picture(path)
    except InputError as error:
        return '', None, [str(error)]
    return image.mode, np.asarray(image), []


def _words(mode: str) -> str:
    return _MODES.get(mode, mode)


def _wrong_size(path: Path, found: tuple[int, int], expected: tuple[int, int] | None) -> list[str]:
    if expected is None or found == expected:
        return []
    return [f'{path}: is {found[0]}x{found[1]} (height x width); expected {expected[0]}x{expected[1]}']


def _wrong_values(values: np.ndarray, wrong: list[int], classes: int, ignore_index: int | None) -> str:
    shown = ', '.join(str(value) for value in values[:_MOST_VALUES]) + (', ...' if len(values) > _MOST_VALUES else '')
    allowed = f'0..{classes - 1}' + ('' if ignore_index is None else f' and {ignore_index}')
    hint = ''
    if wrong == [255] and classes == 2:
        hint = '; if 255 means foreground, save it as 1 (as 0/255, a prediction of background everywhere would score 100 %)'
    return f'holds the values {shown}; expected {allowed}{hint}'
