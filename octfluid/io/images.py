"""Reader of B-scans kept as pictures: PNG, JPEG, BMP, TIFF, of 8 and 16 bits, gray or in colour, of one page or several."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from octfluid.errors import InputError
from octfluid.io.gray import coloured_share, highest, to_gray, white_of
from octfluid.io.scan import Frames, Scan, require_size

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
_FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF')
_GRAY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L', 'F')


def read_image(path: Path) -> Scan:
    """Read a picture. Several pages are a volume; resolutions in dots an inch say nothing about an eye and are left alone.

    Args:
        path: File with one of `SUFFIXES`.

    Raises:
        InputError: It is empty, damaged, no picture of these kinds, or has too few pixels or too many.
    """
    with _open(path) as image:
        first, coloured = _page(image, 0, path)
        try:
            pages = getattr(image, 'n_frames', 1)
        except Exception as error:
            # Pillow looks at every page's head for their number, and raises as below.
            raise _damaged(path, error) from error
    white = white_of(first.dtype, highest(first, str(path)))
    reader = _Pages(path)
    if pages > 1 and first.dtype != np.uint8:  # one scale for all pages
        white = white_of(first.dtype, max(highest(reader.read(place), str(path)) for place in range(pages)))

    def read(place: int) -> np.ndarray:
        page = reader.read(place)
        if page.dtype != first.dtype:
            raise InputError(f'{path}, page {place}: holds {page.dtype} values, unlike the {first.dtype} of the first page')
        highest(page, str(path))
        return to_gray(page, white)

    return Scan(path, Frames(pages, read), is_volume=pages > 1, coloured=coloured)


class _Pages:
    """Reads pages of a picture that stays open from one to the next: to find a page, Pillow walks past all before it."""

    def __init__(self, path: Path) -> None:
        self.path, self.image = path, None

    def read(self, place: int) -> np.ndarray:
        if self.image is None:
            self.image = _open(self.path)
        return _page(self.image, place, self.path)[0]


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # sizes are checked before anything is decoded
            return Image.open(path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        what = 'an empty file' if path.stat().st_size == 0 else f'not a {", ".join(_FORMATS[:-1])} or {_FORMATS[-1]} picture'
        raise InputError(f'{path}: {what}, whatever its name says; expected a B-scan') from error
    except Image.DecompressionBombError as error:
        raise InputError(f'{path}: far more pixels than a B-scan has; cut it or scale it down') from error
    except PermissionError:
        raise
    except Exception as error:
        # Pillow's readers raise what the damage leads to: OSError, SyntaxError, ValueError, struct.error and more.
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f'{path}: cannot be read as a picture, or is cut short ({" ".join(str(error).split())[:100]})')


def _page(image: Image.Image, place: int, path: Path) -> tuple[np.ndarray, float]:
    """Return a page's numbers (H, W), and the share of its pixels that are in colour."""
    where = f'{path}, page {place}' if place else str(path)
    try:
        image.seek(place)
        require_size(image.height, image.width, where)
        if image.mode in _GRAY:
            return np.asarray(image), 0.0
        if image.mode == 'LA':
            return np.asarray(image.convert('L')), 0.0
        rgb = image.convert('RGB')
        coloured = coloured_share(np.asarray(rgb))
        return np.asarray(rgb.convert('L')), coloured
    except InputError:
        raise
    except Exception as error:
        # As above: decoding raises whatever the damage leads to.
        raise _damaged(path, error) from error
