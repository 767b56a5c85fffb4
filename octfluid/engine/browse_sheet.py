"""A contact sheet of the samples that a config's network is given."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image, ImageDraw

from octfluid.engine.browse import Sample, samples_of
from octfluid.engine.config import DatasetSpec, dataset_spec
from octfluid.utils.errors import InputError
from octfluid.visualization import overlay

MOST_CELLS, MOST_REPEATS = 64, 8
IGNORED = (204, 121, 167)  # like the classes' colours of the palette of Okabe and Ito, which the colour-blind can tell apart
SMALLEST_TILE, LARGEST_TILE = 256, 512  # pixels along a picture's longer side
SHEET_WIDTH = 2000


def contact_sheet(cfg: Config, subset: str, number: int, repeats: int = 1) -> np.ndarray:
    """Draw what `samples_of` returns: of each sample the image, beside it the same with its mask coloured, and a caption.

    Args:
        cfg: A resolved config.
        subset: ``'train'`` or ``'val'``.
        number: As in `samples_of`.
        repeats: As in `samples_of`; a row of the sheet is then one scan.

    Returns:
        RGB, uint8 (H, W, 3).

    Raises:
        InputError: As in `samples_of`; more than `MOST_CELLS` samples; more than `MOST_REPEATS` samples of a scan, or, in
            ``'val'``, than one.
    """
    if number * repeats > MOST_CELLS:
        raise InputError(
            f'{number} scans with {repeats} samples each would be {number * repeats} cells; expected at most {MOST_CELLS}, '
            'lower --number or --repeats'
        )
    if repeats > (MOST_REPEATS if subset == 'train' else 1):
        at_most = f'at most {MOST_REPEATS}' if subset == 'train' else '1, since scoring takes every scan once'
        raise InputError(f'--repeats {repeats} with --subset {subset}: expected {at_most}')
    spec = dataset_spec(cfg)
    samples = samples_of(cfg, subset, number, repeats)
    ignored = cfg.model.decode_head.get('ignore_index', 255) if subset == 'train' else spec.ignore_index
    colours = _colours(cfg, spec, ignored)
    batch = cfg.train_dataloader.batch_size if subset == 'train' else None
    cells = []
    for sample in samples:
        unknown = sorted(set(np.unique(sample.mask).tolist()) - set(colours) - {0})
        if unknown:
            raise InputError(
                f'{sample.name}: the pipeline makes a mask with the value {unknown[0]}; expected class numbers 0..'
                f'{len(spec.classes) - 1}' + ('' if ignored is None else f' and {ignored} for pixels that do not count')
            )
        cells.append(draw_cell(sample, colours, captions_of(sample, spec.classes, ignored, batch)))
    columns = repeats if repeats > 1 else max(1, round(SHEET_WIDTH / max(cell.shape[1] for cell in cells)))
    sheet = overlay.contact_sheet(cells, columns)
    names = [*spec.classes[1:], 'ignored by the loss']
    present = {value for sample in samples for value in np.unique(sample.mask).tolist()}
    legend = [
        (colour, name, name) for (value, colour), name in zip(colours.items(), names, strict=False)
        if value != ignored or value in present
    ]  # fmt: skip
    return np.vstack([_title(sheet.shape[1], title_of(cfg, subset, repeats), legend), sheet])


def title_of(cfg: Config, subset: str, repeats: int) -> tuple[str, str]:
    """Say in two lines what a contact sheet shows.

    Args:
        cfg: A resolved config.
        subset: ``'train'`` or ``'val'``.
        repeats: Samples of a scan.
    """
    training = f'a training with seed {cfg.randomness.seed}'
    if subset == 'val':
        what = 'what is scored first'
    elif repeats == 1:
        what = f'what {training} draws first'
    else:
        what = f'what the first {repeats} passes of {training} make of each scan'
    return f"{Path(cfg.filename).name} · split '{cfg.split}', {subset}", f'{what}, before normalisation'


def captions_of(sample: Sample, classes: Sequence[str], ignored: int | None, batch: int | None) -> tuple[str, str]:
    """Return the two lines below a sample: scan and iteration; size of the window, flip, and shares of the mask's pixels.

    Args:
        sample: From `samples_of`.
        classes: Names by class number.
        ignored: Mask value that does not count, or None.
        batch: Samples in an iteration of training, None for samples that no training draws.
    """
    drawn = '' if batch is None else f' · iteration {sample.position // batch + 1}'
    height, width = sample.image.shape[:2]
    parts = [f'{height}x{width}']
    if sample.resized != (height, width):
        parts[0] += f' of {sample.resized[0]}x{sample.resized[1]}'
    if sample.mask.shape != (height, width):
        parts.append('mask {}x{}'.format(*sample.mask.shape))
    if sample.flip:
        parts.append(f'flipped {sample.flip}ly')
    for value, name in enumerate(classes[1:], 1):
        share = np.count_nonzero(sample.mask == value) / sample.mask.size
        parts.append(f'{name} {share:.2%}' if share else f'no {name}')
    if ignored is not None and (sample.mask == ignored).any():
        parts.append(f'{np.count_nonzero(sample.mask == ignored) / sample.mask.size:.2%} ignored by the loss')
    return sample.name + drawn, ' · '.join(parts)


def draw_cell(sample: Sample, colours: dict[int, tuple[int, int, int]], captions: tuple[str, str]) -> np.ndarray:
    """Draw a sample: its image, the same with its mask coloured and outlined, captions below.

    Images smaller than 256 pixels are enlarged by a whole factor without smoothing, those larger than 512 made smaller.

    Args:
        sample: From `samples_of`.
        colours: RGB by mask value.
        captions: Two lines.

    Returns:
        RGB, uint8 (H + strip, 2 * W + gap, 3).
    """
    height, width = sample.image.shape[:2]
    longer = max(height, width)
    scale = -(-SMALLEST_TILE // longer) if longer < SMALLEST_TILE else min(1.0, LARGEST_TILE / longer)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Coloured at the larger of both sizes: an enlarged mask has a thin outline, a reduced one keeps what is thin.
    plain = cv2.resize(sample.image, size, interpolation=cv2.INTER_NEAREST) if scale > 1 else sample.image
    mask = cv2.resize(sample.mask, plain.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    plain, marked = (cv2.resize(side, size, interpolation=cv2.INTER_AREA) for side in (plain, coloured(plain, mask, colours)))
    gap = np.zeros((size[1], overlay.SHEET_GAP // 2, 3), np.uint8)
    picture = np.hstack([plain, gap, marked])
    return np.vstack([picture, _strip(picture.shape[1], captions)])


def coloured(image: np.ndarray, mask: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> np.ndarray:
    """Colour a mask over an image, gray or not, with a light line just outside of it.

    Args:
        image: RGB, uint8 (H, W, 3).
        mask: uint8 (H, W).
        colours: RGB by mask value; pixels of other values stay as they are.

    Returns:
        RGB, uint8 (H, W, 3).
    """
    blended = image.astype(np.float32)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for value, colour in colours.items():
        inside = mask == value
        blended[inside] += overlay.FILL_OPACITY * (np.float32(colour) - blended[inside])
    marked = np.isin(mask, list(colours)).astype(np.uint8)
    edge = (cv2.dilate(marked, cross) - marked).astype(bool)
    blended[edge] += overlay.CONTOUR_OPACITY * (np.float32(overlay.CONTOUR) - blended[edge])
    return np.rint(blended).astype(np.uint8)


def _colours(cfg: Config, spec: DatasetSpec, ignored: int | None) -> dict[int, tuple[int, int, int]]:
    """Return the colour of every class but the background's by its number, and of the value that does not count."""
    from mmseg.registry import DATASETS

    palette = DATASETS.get(cfg.train_dataloader.dataset.type).METAINFO['palette']
    colours = {value: tuple(palette[value]) for value in range(1, len(spec.classes))}
    return colours if ignored is None else {**colours, ignored: IGNORED}


def _lines(width: int, lines: Sequence[tuple[str, int, tuple]], room: int = 0) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Set lines of (text, font size, colour) below each other, with room for more below them."""
    height = sum(size for _, size, _ in lines) + overlay.MARGIN * (len(lines) + 1) + room
    strip = Image.new('RGB', (width, height), overlay.STRIP)
    draw, top = ImageDraw.Draw(strip), overlay.MARGIN
    for text, size, colour in lines:
        text, font = overlay.fitted_text(' '.join(text.split()), width - 2 * overlay.MARGIN, size)
        draw.text((overlay.MARGIN, top + size // 2), text, colour, font, anchor='lm')
        top += size + overlay.MARGIN
    return strip, draw


def _strip(width: int, captions: tuple[str, str]) -> np.ndarray:
    lines = [(captions[0], overlay.LARGEST_FONT, overlay.TEXT), (captions[1], overlay.LARGEST_FONT - 2, overlay.FAINT_TEXT)]
    return np.asarray(_lines(width, lines)[0])


def _title(width: int, title: tuple[str, str], legend: Sequence[tuple]) -> np.ndarray:
    size = overlay.LARGEST_FONT * (2 if width > SHEET_WIDTH // 2 else 1)  # a wide sheet is looked at made smaller
    small = size * 3 // 4
    strip, draw = _lines(width, [(title[0], size, overlay.TEXT), (title[1], small, overlay.TEXT)], small + overlay.MARGIN)
    overlay.draw_legend(draw, legend, width, strip.height - overlay.MARGIN - small // 2, small)
    return np.asarray(strip)
