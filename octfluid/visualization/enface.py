"""The fluid of a volume from above: a picture of its thickness."""

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from octfluid.io.scan import Spacing

_LEAST, _MOST = 384, 1024  # pixels of the picture's longer side
_STRIP, _MARGIN, _FONT = 44, 10, 13
_BACKGROUND, _TEXT = (22, 22, 24), (240, 240, 240)


def draw_enface(thickness_px: np.ndarray, spacing: Spacing | None, bottom_up: bool | None = None) -> np.ndarray:
    """Draw the thickness of fluid as colours, in the proportions of the eye where they are known.

    Args:
        thickness_px: Fluid pixels of each A-scan, (Z, W).
        spacing: Scale; without one thickness is in pixels, and each B-scan a band of equal height.
        bottom_up: Whether the first B-scan is the lowest: the upper side of the eye is at the top then, which the legend says.
            None: not known, the first B-scan is at the top.

    Returns:
        RGB, uint8 (height, width, 3): the map, and below it the scale of its colours.
    """
    number, width = thickness_px.shape
    if bottom_up:
        thickness_px = thickness_px[::-1]
    values = thickness_px * (1000 * spacing.axial if spacing else 1.0)
    unit = 'um' if spacing else 'px'
    size = _size_of(number, width, spacing)
    top = float(values.max())
    levels = np.rint(values * (255 / top) if top else values).astype(np.uint8)
    large = cv2.resize(levels, size, interpolation=cv2.INTER_NEAREST)
    coloured = cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    coloured[large == 0] = 0
    sheet = np.full((size[1], max(size[0], 300), 3), _BACKGROUND, np.uint8)
    sheet[:, : size[0]] = coloured
    return np.vstack([sheet, _legend(sheet.shape[1], top, unit, 'first B-scan' if bottom_up is None else 'superior')])


def _size_of(number: int, width: int, spacing: Spacing | None) -> tuple[int, int]:
    known = spacing and spacing.slice
    tall, wide = (number * spacing.slice, width * spacing.lateral) if known else (width, width)
    scale = np.clip(width, _LEAST, _MOST) / max(tall, wide)
    return max(round(wide * scale), 1), max(round(tall * scale), 1)


def row_to_bscan(row: int, shape: tuple[int, int], spacing: Spacing | None, bottom_up: bool | None) -> int | None:
    """Return which B-scan, from 0, is drawn in a row (from 0, at the top) of `draw_enface`; None where it is the legend.

    ``shape`` is that of the thickness, (Z, W); ``spacing`` and ``bottom_up`` are as it was drawn.
    """
    height = _size_of(*shape, spacing)[1]
    if not 0 <= row < height:
        return None
    place = min(int((row + 0.5) * shape[0] / height), shape[0] - 1)
    return shape[0] - 1 - place if bottom_up else place


def _legend(width: int, top: float, unit: str, upper: str) -> np.ndarray:
    strip = Image.new('RGB', (width, _STRIP), _BACKGROUND)
    ramp = cv2.applyColorMap(np.linspace(0, 255, width - 2 * _MARGIN).astype(np.uint8)[None].repeat(8, 0), cv2.COLORMAP_VIRIDIS)
    strip.paste(Image.fromarray(cv2.cvtColor(ramp, cv2.COLOR_BGR2RGB)), (_MARGIN, _MARGIN))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(_FONT)
    low = _MARGIN + 8 + 4
    draw.text((_MARGIN, low), f'0 {unit}', _TEXT, font)
    draw.text((width // 2, low), f'thickness of fluid; at the top: {upper}', _TEXT, font, anchor='ma')
    draw.text((width - _MARGIN, low), f'{top:.0f} {unit}', _TEXT, font, anchor='ra')
    return np.asarray(strip)
