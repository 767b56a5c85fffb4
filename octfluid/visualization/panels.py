"""Several networks on one scan, side by side: scan, each prediction, ground truth."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from octfluid.metrics.confusion import image_row
from octfluid.visualization import overlay


def score_line(tp: int, fp: int, fn: int) -> str:
    """Say how good a prediction is: Dice = 2 TP / (2 TP + FP + FN) and IoU = TP / (TP + FP + FN), or, where there is no fluid
    to find, the pixels that were found all the same.

    Args:
        tp: True positive pixels.
        fp: False positive pixels.
        fn: False negative pixels.
    """
    if tp + fn == 0:
        return f'no fluid; {fp} px false positive'
    return f'Dice {2 * tp / (2 * tp + fp + fn):.3f} · IoU {tp / (tp + fp + fn):.3f}'


def draw_panels(
    name: str, scan: np.ndarray, truth: np.ndarray, predictions: Mapping[str, np.ndarray], scale: int = 2
) -> np.ndarray:
    """Draw the scan, each prediction and the ground truth side by side, captions above them and a legend below.

    Predictions have the colours of `overlay.draw_overlay`. The ground truth is drawn as a prediction that
    equals it would be, so that the panels before it can be compared with it.

    Args:
        name: Of the scan.
        scan: B-scan, uint8 (H, W).
        truth: Mask of 0 and 1, (H, W).
        predictions: Mask of 0 and 1, (H, W), by the name of the network, in the order of the panels.
        scale: Integer factor of enlargement, at least 1.

    Returns:
        RGB, uint8 (captions + H * scale + legend, (2 + predictions) * (W * scale + gap) - gap, 3).

    Raises:
        ValueError: A shape, a type or a mask value is not as above.
    """
    fluid = int(np.count_nonzero(truth))
    panels = [('scan', name, overlay.enlarged_scan(scan, scale))]
    for title, mask in predictions.items():
        picture = overlay.colour_fluid(scan, mask, truth, scale)
        row = image_row(name, None, mask, truth)
        panels.append((title, score_line(row['tp'], row['fp'], row['fn']), picture))
    panels.append(('ground truth', f'{fluid} px fluid', overlay.colour_fluid(scan, truth, truth, scale)))
    sheet = overlay.contact_sheet([_captioned(*panel) for panel in panels], len(panels))
    return np.vstack([sheet, _legend(sheet.shape[1], _font_size(scan.shape[1] * scale))])


def _font_size(width: int) -> int:
    """Font size of the captions of panels of this width: wide panels are looked at made smaller."""
    return max(overlay.LARGEST_FONT, width // 16)


def _captioned(title: str, line: str, picture: np.ndarray) -> np.ndarray:
    """Put two lines above a picture, RGB uint8 (H, W, 3)."""
    width, margin, largest = picture.shape[1], overlay.MARGIN, _font_size(picture.shape[1])
    smaller = max(overlay.LEGEND_FONT, largest * 3 // 4)
    strip = Image.new('RGB', (width, largest + smaller + 3 * margin), overlay.STRIP)
    draw = ImageDraw.Draw(strip)
    middles = (margin + largest // 2, 2 * margin + largest + smaller // 2)
    for text, size, middle, colour in (
        (title, largest, middles[0], overlay.TEXT),
        (line, smaller, middles[1], overlay.FAINT_TEXT),
    ):
        text, font = overlay.fitted_text(' '.join(text.split()), width - 2 * margin, size)
        draw.text((margin, middle), text, colour, font, anchor='lm')
    return np.vstack([np.asarray(strip), picture])


def _legend(width: int, largest: int) -> np.ndarray:
    """Draw the legend for all panels, RGB uint8 (height, width, 3)."""
    size = max(overlay.LEGEND_FONT, largest * 3 // 4)
    strip = Image.new('RGB', (width, size + 2 * overlay.MARGIN), overlay.STRIP)
    overlay.draw_legend(ImageDraw.Draw(strip), overlay.COMPARED, width, overlay.MARGIN + size // 2, size)
    return np.asarray(strip)
