"""Reader of pictures: PNG, JPEG, BMP and TIFF, 8 or 16 bits, gray or colour, one or several pages."""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from octfluid.io.scan import Scan, reading, require_volume, to_gray
from octfluid.utils.errors import InputError
from octfluid.utils.text import require_file

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF')
"""Formats that Pillow may read: some of its other readers start programs of the system."""
_GRAY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L', 'F')
_COLOUR = 24  # levels between the channels of a pixel, from which on it is no shade of gray: JPEG leaves less
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # tags of TIFF, and their values
_BITS, _SAMPLES = 258, 339
_KIND, _COPY_OR_MASK, _OLD_KIND, _COPY = 254, 0b101, 255, 2
_NUMBERS = {1: 'whole numbers', 2: 'signed whole numbers', 3: 'floating numbers'}
for _order, _decoder in ((b'II', 'F;64F'), (b'MM', 'F;64BF')):  # which Pillow has, but uses for no TIFF
    TiffImagePlugin.OPEN_INFO[_order, 1, (3,), 1, (64,), ()] = 'F', _decoder


def read_image(path: Path) -> Scan:
    """Read a picture as viewers show it, turned by its EXIF orientation.

    Several pages are a volume, without smaller copies and masks. The reader ignores DPI, which is not a scale of the eye.
    """
    image = _open(path)
    places = _pages(image) if image.format == 'TIFF' else [0]  # of others a second picture is something else, such as a preview
    found, shares, turns = zip(*(_page(image, path, place, len(places)) for place in places), strict=True)
    for place, page in enumerate(found):
        if (page.shape, page.dtype) != (found[0].shape, found[0].dtype):
            first = f'the first has {found[0].dtype} values of shape {found[0].shape}'
            raise InputError(f'{path}: B-scan {place} has {page.dtype} values of shape {page.shape}, {first}; split the file')
    turned = ', '.join(str(turn) for turn in sorted({*turns} - {1}))
    notes = (f'turned or mirrored as viewers show it (EXIF orientation {turned}), and so is its mask',) if turned else ()
    return Scan(path, to_gray(found, path), is_volume=len(places) > 1, coloured=shares[0], notes=notes)


def load_picture(path: Path, upright: bool = False) -> Image.Image:
    """Read and decode a scan or mask of a data set, which every reader must see alike.

    With ``upright``, the EXIF orientation is applied.

    Raises:
        InputError: The file cannot be read, has several pages, or a single row or column. Or a viewer shows other pixels: it
            has an EXIF orientation (without ``upright``), 16 bits in colour (Pillow keeps 8), or 16 bits where 0 is white.
    """
    with reading(path), _open(path) as image:
        if reason := _unlike_what_is_seen(image):
            raise InputError(f'{path}: {reason}')
        if not upright and _orientation(image) != 1:
            raise InputError(f'{path}: has an EXIF orientation, which some programs ignore; save it upright, without EXIF')
        image.load()
        return ImageOps.exif_transpose(image) if upright else image


def orientation_of(path: Path) -> int:
    """Return the EXIF orientation of a picture, from 1 (upright) to 8."""
    with reading(path), _open(path) as image:
        return _orientation(image)


def _orientation(image: Image.Image) -> int:
    found = image.getexif().get(ExifTags.Base.Orientation, 1)  # which decodes a PNG
    return found if found in range(1, 9) else 1


def _unlike_what_is_seen(image: Image.Image) -> str | None:
    if min(image.size) < 2:
        return f'is {image.height}x{image.width} (height x width); expected a scan or a mask'
    if (pages := len(_pages(image))) > 1:
        return f'has {pages} pages; expected one B-scan in each file, split it first'
    if image.mode in ('RGB', 'RGBA') and ';16' in str(image.tile):
        return 'has 16-bit colours; expected gray, convert it first'
    if image.format == 'TIFF' and image.mode.startswith('I;16') and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return 'has 16-bit values where 0 is white; expected 0 for black, convert it first'
    return None


def _open(path: Path) -> Image.Image:
    require_file(path)
    try:
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        with open(path, 'rb') as file:
            if (head := file.read(8))[:4] not in (b'II*\0', b'MM\0*'):
                raise
            tags = TiffImagePlugin.ImageFileDirectory_v2(head)
            file.seek(tags.next)
            tags.load(file)
        held = f'{_NUMBERS.get(tags.get(_SAMPLES, (1,))[0], "unknown numbers")} of {tags.get(_BITS, (1,))[0]} bits'
        expected = 'whole numbers of 8, 16 or 32 bits, or floating numbers of 32 or 64'
        raise InputError(f'{path}: a TIFF whose pixels are {held}; expected {expected}, convert it first') from None
    image.filename = ''  # else Pillow maps some files into memory, and jumbles those that lie on their side
    return image


def _pages(image: Image.Image) -> list[int]:
    """Return the pages that are not smaller copies or masks of others, and go to the first."""
    pages = list(range(getattr(image, 'n_frames', 1)))
    if image.format != 'TIFF':
        return pages
    full = []
    for place in pages:
        image.seek(place)
        if not image.tag_v2.get(_KIND, 0) & _COPY_OR_MASK and image.tag_v2.get(_OLD_KIND) != _COPY:
            full.append(place)
    image.seek((full or pages)[0])
    return full or pages


def _page(image: Image.Image, path: Path, place: int, pages: int) -> tuple[np.ndarray, float, int]:
    image.seek(place)
    require_volume(path, pages, image.height, image.width)
    turn = _orientation(image)
    upright = ImageOps.exif_transpose(image)
    if upright.mode in _GRAY:
        return np.asarray(upright), 0.0, turn
    if upright.mode == 'LA':
        return np.asarray(upright.convert('L')), 0.0, turn
    rgb = upright.convert('RGB')
    return np.asarray(rgb.convert('L')), float(np.mean(np.ptp(np.asarray(rgb, np.int16), axis=2) > _COLOUR)), turn
