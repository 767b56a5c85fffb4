"""Pictures that show at a glance where a prediction is right and where it is wrong."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

# RGB. Right and wrong differ in lightness too (L* is 87 for green, 47 for red, 53 for blue), since many readers cannot tell
# green from red by hue; red and blue are told apart by hue with every kind of colour blindness. Without ground truth there
# is no right and wrong, hence a colour of its own.
TRUE_POSITIVE = (90, 245, 140)
FALSE_POSITIVE = (220, 30, 30)
FALSE_NEGATIVE = (65, 115, 255)
PREDICTED = (255, 176, 0)
CONTOUR = (255, 255, 235)
FILL_OPACITY = 0.6
CONTOUR_OPACITY = 0.8

CAPTION_WIDTH = 512  # smaller scans are enlarged until they are as wide as this, so that captions are legible
_MOST_ENLARGED = 1 << 23  # pixels; what has more already stays as it is
LARGEST_FONT, SMALLEST_FONT, LEGEND_FONT = 18, 12, 13
MARGIN = 8
STRIP, TEXT, FAINT_TEXT = (22, 22, 24), (240, 240, 240), (190, 190, 195)

COMPARED = ((TRUE_POSITIVE, 'true positive'), (FALSE_POSITIVE, 'false positive'), (FALSE_NEGATIVE, 'false negative'),
            (None, 'ground truth'))  # fmt: skip
ALONE = ((PREDICTED, 'predicted fluid'),)


def enlargement(shape: tuple[int, int]) -> int:
    """Return the least factor that makes a B-scan (H, W) 512 pixels wide; less where it is so tall that memory would not do."""
    wanted = -(-CAPTION_WIDTH // shape[1])
    return max(1, min(wanted, math.isqrt(_MOST_ENLARGED // (shape[0] * shape[1]))))


def draw_overlay(image: np.ndarray, prediction: np.ndarray, truth: np.ndarray | None, caption: str) -> np.ndarray:
    """Colour a prediction over its scan (see `colour_fluid`), with a caption and a legend in a strip below.

    Args:
        image: B-scan, uint8 (H, W).
        prediction: Mask of 0 and 1 (or bool), (H, W).
        truth: Mask of 0 and 1 (or bool), (H, W), or None.
        caption: One line; if too long for the picture it is set smaller, then shortened in its middle.

    Returns:
        RGB, uint8 (H * scale + strip, W * scale, 3), where the scale is that of `enlargement`.
    """
    picture = colour_fluid(image, prediction, truth, enlargement(image.shape))
    return np.vstack([picture, _strip(picture.shape[1], caption, ALONE if truth is None else COMPARED)])


def colour_fluid(image: np.ndarray, prediction: np.ndarray, truth: np.ndarray | None, scale: int) -> np.ndarray:
    """Colour a prediction over its scan: RGB, uint8 (H * scale, W * scale, 3); arguments as those of `draw_overlay`.

    With ground truth: true positives green, false positives red, false negatives blue, and the outline of the ground truth
    as a light line just outside of it. Without: the prediction amber, with its own outline.
    """
    rgb = enlarged_scan(image, scale).astype(np.float32)
    predicted = outlined = _enlarged(prediction, scale)
    if truth is None:
        _blend(rgb, predicted, PREDICTED, FILL_OPACITY)
    else:
        true = outlined = _enlarged(truth, scale)
        _blend(rgb, predicted & true, TRUE_POSITIVE, FILL_OPACITY)
        _blend(rgb, predicted & ~true, FALSE_POSITIVE, FILL_OPACITY)
        _blend(rgb, ~predicted & true, FALSE_NEGATIVE, FILL_OPACITY)
    # Outside rather than inside, so that pockets of a few pixels keep their colour.
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    edge = (cv2.dilate(outlined.astype(np.uint8), cross) == 1) & ~outlined
    _blend(rgb, edge, CONTOUR, CONTOUR_OPACITY)
    return np.rint(rgb).astype(np.uint8)


def enlarged_scan(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge a B-scan, uint8 (H, W), by an integer factor: RGB, uint8 (H * scale, W * scale, 3)."""
    gray = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else image
    return np.repeat(gray[:, :, None], 3, axis=2)


def _enlarged(mask: np.ndarray, scale: int) -> np.ndarray:
    return mask.astype(bool).repeat(scale, axis=0).repeat(scale, axis=1)


def _blend(rgb: np.ndarray, where: np.ndarray, colour: tuple[int, int, int], opacity: float) -> None:
    rgb[where] = (1 - opacity) * rgb[where] + opacity * np.float32(colour)


def _strip(width: int, caption: str, legend: Sequence[tuple]) -> np.ndarray:
    height = LARGEST_FONT + LEGEND_FONT + 3 * MARGIN
    strip = Image.new('RGB', (width, height), STRIP)
    draw = ImageDraw.Draw(strip)
    text, font = _fitted(' '.join(caption.split()), width - 2 * MARGIN)
    draw.text((MARGIN, MARGIN + LARGEST_FONT // 2), text, TEXT, font, anchor='lm')
    _draw_legend(draw, legend, width, height - MARGIN - LEGEND_FONT // 2)
    return np.asarray(strip)


def _fitted(text: str, width: int) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return a text, shortened in its middle if it must be, and the largest font in which ``width`` pixels hold it."""
    for size in range(LARGEST_FONT, SMALLEST_FONT - 1, -1):
        font = ImageFont.load_default(size)
        if font.getlength(text) <= width:
            return text, font
    # Both ends matter: the name begins the caption and the score ends it.
    half = len(text) // 2
    while half and font.getlength(shortened := f'{text[:half]}…{text[-half:]}') > width:
        half -= 1
    return shortened if half else '', font


def _draw_legend(draw: ImageDraw.ImageDraw, legend: Sequence[tuple], width: int, middle: int) -> None:
    """Draw a coloured square (a line for the outline) and a label for each entry; nothing if they do not fit."""
    font = ImageFont.load_default(LEGEND_FONT)
    square, gap = LEGEND_FONT - 2, 2 * MARGIN
    lengths = [square + MARGIN // 2 + font.getlength(label) for _, label in legend]
    if 2 * MARGIN + sum(lengths) + gap * (len(legend) - 1) > width:
        return
    left = MARGIN
    for (colour, label), length in zip(legend, lengths, strict=True):
        if colour is None:
            draw.line((left, middle, left + square, middle), CONTOUR)
        else:
            draw.rectangle((left, middle - square // 2, left + square - 1, middle + square // 2), colour)
        draw.text((left + square + MARGIN // 2, middle), label, FAINT_TEXT, font, anchor='lm')
        left += int(length) + gap
