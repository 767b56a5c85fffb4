"""Reader of B-scans kept as pictures: PNG, JPEG, BMP, TIFF, of 8 and 16 bits, gray or in colour, of one page or several."""

from pathlib import Path

import numpy as np
from PIL import Image

from octfluid.io.scan import Scan, reading, require_volume, to_gray
from octfluid.utils.errors import InputError
from octfluid.utils.text import require_file

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF')
"""What a picture may be, by Pillow's names: others among its readers start programs of the system on what they are given."""
_GRAY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L', 'F')
_COLOUR = 24  # levels between the channels of a pixel, from which on it is no shade of gray: JPEG leaves less
_ORIENTATION, _TURNED, _ON_ITS_SIDE = 0x0112, range(2, 9), range(5, 9)  # of EXIF and TIFF
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


def read_image(path: Path) -> Scan:
    """Read a picture. Several pages are a volume; resolutions in dots an inch say nothing about an eye and are left alone."""
    image = _open(path)
    pages = image.n_frames if image.format == 'TIFF' else 1  # of others a second picture is something else, such as a preview
    found, shares = zip(*(_page(image, path, place, pages) for place in range(pages)), strict=True)
    for place, page in enumerate(found):
        if (page.shape, page.dtype) != (found[0].shape, found[0].dtype):
            first = f'unlike the {found[0].dtype} values of shape {found[0].shape} of the first'
            raise InputError(f'{path}: B-scan {place} has {page.dtype} values of shape {page.shape}, {first}; divide the file')
    return Scan(path, to_gray(found, path), is_volume=pages > 1, coloured=shares[0])


def load_picture(path: Path) -> Image.Image:
    """Read and decode a picture to be trained on or scored against: every reader has to see the same pixels in it.

    Raises:
        InputError: It cannot be read; has several pages, or one of a single row or column; or its pixels are not what is seen:
            shown turned, 16 bits in colour, of which Pillow keeps 8, or 16 bits of which 0 is white.
    """
    with reading(path), _open(path) as image:
        if reason := _unlike_what_is_seen(image):
            raise InputError(f'{path}: {reason}')
        image.load()
        return image


def _unlike_what_is_seen(image: Image.Image) -> str | None:
    if min(image.size) < 2:
        return f'is {image.height}x{image.width} (height x width); expected a scan or a mask'
    if (pages := getattr(image, 'n_frames', 1)) > 1:
        return f'has {pages} pages; expected one B-scan a file, divide it first'
    if image.mode in ('RGB', 'RGBA') and ';16' in str(image.tile):
        return 'is in colour, of 16 bits each; expected gray, convert it first'
    if image.getexif().get(_ORIENTATION) in _TURNED:  # which decodes a PNG
        return 'is to be shown turned (EXIF), which some programs do and others do not; save it as it is seen, without EXIF'
    if image.format == 'TIFF' and image.mode.startswith('I;16') and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        return 'has 16 bits of which 0 means white; expected 0 for black, convert it first'
    return None


def _open(path: Path) -> Image.Image:
    require_file(path)
    return Image.open(path, formats=FORMATS)


def _page(image: Image.Image, path: Path, place: int, pages: int) -> tuple[np.ndarray, float]:
    """Return a page's numbers (H, W), and the share of its pixels that are in colour."""
    image.seek(place)
    require_volume(path, pages, image.height, image.width)
    if image.format == 'TIFF' and image.tag_v2.get(_ORIENTATION) in _ON_ITS_SIDE:  # Pillow jumbles the pixels of some of these
        raise InputError(f'{path}: a TIFF that says that it lies on its side; save it upright')
    if image.mode in _GRAY:
        return np.asarray(image), 0.0
    if image.mode == 'LA':
        return np.asarray(image.convert('L')), 0.0
    rgb = image.convert('RGB')
    return np.asarray(rgb.convert('L')), float(np.mean(np.ptp(np.asarray(rgb, np.int16), axis=2) > _COLOUR))
