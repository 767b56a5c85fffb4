"""The few pictures that show a run: its best, its median and its worst image, and the one with most false fluid."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from octfluid.io.images import FORMATS
from octfluid.io.results import write_png
from octfluid.utils.atomic import atomic_path
from octfluid.visualization.overlay import draw_overlay

COLOURS = 128  # a palette: pictures are committed by the dozen, and 24 bits a pixel make files four times as large
ROLES = ('best', 'median', 'worst', 'false')


def choose(images: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Choose the images to show by their counts alone, so that no preference for a nice picture is in it.

    Args:
        images: A run record's ``images``: mappings with ``name`` and the pixel counts ``tp``, ``fp``, ``fn``.

    Returns:
        Role -> name, in the order of `ROLES`. Among images with fluid by Dice, and by name where Dice is equal: ``best`` is the
        last, ``worst`` the first, ``median`` the middle one, of two the lower; no image has two roles. ``false`` is the image
        with most false positive pixels among those without fluid, the first by name where equal.
    """
    with_fluid = sorted((row for row in images if row['tp'] + row['fn']), key=lambda row: (_dice(row), row['name']))
    without = sorted((row for row in images if not row['tp'] + row['fn']), key=lambda row: (-row['fp'], row['name']))
    last = len(with_fluid) - 1
    places = {'best': (last, 1), 'median': (last // 2, 3), 'worst': (0, 2)}  # and how many images a role takes
    chosen = {role: with_fluid[place]['name'] for role, (place, least) in places.items() if len(with_fluid) >= least}
    return chosen | ({'false': without[0]['name']} if without else {})


def _dice(row: Mapping[str, Any]) -> float:
    return 2 * row['tp'] / (2 * row['tp'] + row['fp'] + row['fn'])


def caption_for(name: str, tp: int, fp: int, fn: int) -> str:
    """Return the Dice of a scan, or its false pixels where there is no fluid, since Dice is 0 for a single one of them."""
    if tp + fn == 0:
        return f'{name} · no fluid; {fp} px false positive'
    return f'{name} · Dice {_dice({"tp": tp, "fp": fp, "fn": fn}):.3f}'


def picture_name(record_stem: str, image_name: str) -> str:
    """Return the file name of an image's picture, which lies beside the record ``<record_stem>.json``, in no other folder."""
    return f'{record_stem}.{image_name.replace("/", "_")}.png'


def scan_overlay(
    name: str, image_path: str | os.PathLike, prediction: np.ndarray, truth: np.ndarray, ignore_index: int = 255
) -> np.ndarray:
    """Draw the overlay of a scored scan, with its score below it (see `octfluid.visualization.overlay.draw_overlay`).

    Args:
        name: Of the scan, for the caption.
        image_path: The scan; it is brought to the size of the ground truth if it has another.
        prediction: (H, W) array of 0 and 1.
        truth: (H, W) array of 0, 1 and ``ignore_index``.
        ignore_index: Pixels with this truth are neither scored nor coloured.

    Raises:
        OSError: The scan cannot be read.
    """
    scan = cv2.imread(os.fspath(image_path), cv2.IMREAD_GRAYSCALE)
    if scan is None:
        raise OSError(f'{image_path}: cannot be read as an image')
    if scan.shape != truth.shape:
        scan = cv2.resize(scan, truth.shape[::-1], interpolation=cv2.INTER_AREA)
    counted = truth != ignore_index
    predicted, actual = (prediction == 1) & counted, (truth == 1) & counted
    tp, fp, fn = (int(np.count_nonzero(part)) for part in (predicted & actual, predicted & ~actual, ~predicted & actual))
    return draw_overlay(scan, predicted, actual, caption_for(name, tp, fp, fn))


def write_pictures(
    record_path: Path, predictions: Mapping[str, np.ndarray], files: Mapping[str, tuple[Path, Path]], ignore_index: int = 255
) -> None:
    """Write the pictures that go with a record, after deleting those that an earlier run of the same name left.

    ``predictions`` are by image name (see `scan_overlay`), and ``files`` the scan and ground truth of at least those.

    Raises:
        OSError: A file cannot be read, written or deleted. Each picture is whole or absent, and none shows another run.
    """
    for path in list(record_path.parent.iterdir()):
        if path.name.startswith(f'{record_path.stem}.') and path.suffix == '.png':
            path.unlink()
    for name, prediction in predictions.items():
        scan, mask = files[name]
        with Image.open(mask, formats=FORMATS) as opened:
            truth = np.asarray(opened)
        picture = scan_overlay(name, scan, prediction, truth, ignore_index)
        with atomic_path(record_path.parent / picture_name(record_path.stem, name)) as temporary:
            write_png(temporary, picture, COLOURS)
