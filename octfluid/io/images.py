"""Reader of B-scans kept as pictures: PNG, JPEG, BMP, TIFF, of 8 and 16 bits, gray or in colour, of one page or several."""

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from octfluid.io.gray import coloured_share, highest, to_gray, white_of
from octfluid.io.scan import Frames, Scan, require_frames, require_size
from octfluid.io.unpacked import require_unpacked
from octfluid.utils.errors import InputError
from octfluid.utils.text import require_file

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
FORMATS = ('PNG', 'JPEG', 'BMP', 'TIFF')
"""What a picture may be, by Pillow's names: others among its readers start programs of the system on what they are given."""
_MOST_PASSES = 100  # of a progressive JPEG, which has ten
_GRAY = ('1', 'L', 'I', 'I;16', 'I;16B', 'I;16L', 'F')
_ORIENTATION, _TURNED, _ON_ITS_SIDE = 0x0112, range(2, 9), range(5, 9)  # of EXIF and TIFF
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0


def read_image(path: Path) -> Scan:
    """Read a picture. Several pages are a volume; resolutions in dots an inch say nothing about an eye and are left alone.

    Args:
        path: File with one of `SUFFIXES`.

    Raises:
        InputError: It is empty, damaged, no picture of these kinds, or has too few pixels or too many.
    """
    with _open(path) as image:
        first, coloured = _page(image, 0, path)
        pages = _number_of_pages(image, path)
    require_unpacked(pages * first.nbytes, path)
    white = white_of(first.dtype, highest(first, str(path)))
    reader = _Pages(path, first)
    if pages > 1 and first.dtype != np.uint8:  # one scale for all pages
        white = white_of(first.dtype, max(highest(reader.read(place), str(path)) for place in range(pages)))

    def read(place: int) -> np.ndarray:
        page = reader.read(place)
        highest(page, str(path))
        return to_gray(page, white)

    return Scan(path, Frames(pages, read), is_volume=pages > 1, coloured=coloured)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow from warning of sizes, which are checked here or those of photographs, and of what does not matter."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def load_picture(path: Path) -> Image.Image:
    """Read a picture that is to be trained on or scored against, where every reader has to see the same pixels in it.

    Args:
        path: A file of whatever name.

    Returns:
        Decoded, in the mode of Pillow that it is kept in.

    Raises:
        InputError: It cannot be read or is damaged; has several pages, or one of a single row or column; or its pixels are not
            what is seen: shown turned, 16 bits in colour, of which Pillow keeps 8, or 16 bits of which 0 is white.
    """
    require_file(path)
    try:
        with open(path, 'rb') as file:
            require_few_passes(file, path)
        with _quiet(), Image.open(path, formats=FORMATS) as image:
            if reason := _unlike_what_is_seen(image):
                raise InputError(f'{path}: {reason}')
            image.load()
            return image
    except InputError:
        raise
    except Exception as error:
        # On damaged files Pillow raises OSError, SyntaxError, ValueError, struct.error, zlib.error and more.
        reason = getattr(error, 'strerror', None) or ' '.join(str(error).split())
        raise InputError(f'{path}: cannot be read as an image ({reason}); make or copy it again') from error


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


class _Pages:
    """Reads pages of a picture that stays open from one to the next: to find a page, Pillow walks past all before it.

    Args:
        path: Of the picture.
        first: Its first page; others must be of its kind.
    """

    def __init__(self, path: Path, first: np.ndarray) -> None:
        self.path, self.shape, self.dtype, self.image = path, first.shape, first.dtype, None

    def read(self, place: int) -> np.ndarray:
        if self.image is None:
            self.image = _open(self.path)
        page = _page(self.image, place, self.path, self.shape)[0]
        if page.dtype != self.dtype:
            raise InputError(f'{self.path}, page {place}: holds {page.dtype} values, unlike the {self.dtype} of the first page')
        return page


def _number_of_pages(image: Image.Image, path: Path) -> int:
    """Return how many pages a picture has or, where that need not be counted, says that it has."""
    if image.format != 'TIFF':
        return 1  # of others a second picture is something else, such as a preview
    for place in itertools.count(1):
        try:
            with _quiet():
                image.seek(place)
        except EOFError:
            return place
        except Exception as error:
            # Pillow reads every page's head on its way, and raises as below.
            raise _damaged(path, error) from error
        require_frames(place + 1, str(path))  # Pillow would go on for as long as the file says that there are more
    raise AssertionError('unreachable')


def _open(path: Path) -> Image.Image:
    require_file(path)
    try:
        with open(path, 'rb') as file:
            require_few_passes(file, path)
        with _quiet():
            return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        what = 'an empty file' if path.stat().st_size == 0 else f'not a {", ".join(FORMATS[:-1])} or {FORMATS[-1]} picture'
        raise InputError(f'{path}: {what}, whatever its name says; expected a B-scan') from error
    except Image.DecompressionBombError as error:
        raise InputError(f'{path}: far more pixels than a B-scan has; cut it or scale it down') from error
    except (InputError, PermissionError):
        raise
    except Exception as error:
        # Pillow's readers raise what the damage leads to: OSError, SyntaxError, ValueError, struct.error and more.
        raise _damaged(path, error) from error


def require_few_passes(file: BinaryIO, path: Path) -> None:
    """Refuse a JPEG that is made of so many passes over all its pixels that reading it takes minutes.

    Args:
        file: Begins with the picture, of whatever kind.
        path: Where it is from.

    Raises:
        InputError: It is a JPEG with more than a hundred.
    """
    if file.read(2) == b'\xff\xd8' and file.read().count(b'\xff\xda') > _MOST_PASSES:
        raise InputError(f'{path}: a JPEG of more than {_MOST_PASSES} passes, as no scan is stored; export it again')


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f'{path}: cannot be read as a picture, or is cut short ({" ".join(str(error).split())[:100]})')


def _page(image: Image.Image, place: int, path: Path, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, float]:
    """Return a page's numbers (H, W), and the share of its pixels that are in colour; ``shape`` is what they must be of."""
    where = f'{path}, page {place}' if place else str(path)
    try:
        with _quiet():
            image.seek(place)
        require_size(image.height, image.width, where)
        if (
            image.format == 'TIFF' and image.tag_v2.get(_ORIENTATION) in _ON_ITS_SIDE
        ):  # Pillow jumbles the pixels of some of these
            raise InputError(f'{where}: a TIFF that says that it lies on its side; save it upright')
        if shape is not None and (image.height, image.width) != shape:
            raise InputError(
                f'{path}: B-scan {place} has {image.height}x{image.width} pixels, unlike the {shape[0]}x{shape[1]} of the '
                'first; expected one size in a file'
            )
        with _quiet():
            return _gray_of(image)
    except InputError:
        raise
    except Exception as error:
        # As above: decoding raises whatever the damage leads to.
        raise _damaged(path, error) from error


def _gray_of(image: Image.Image) -> tuple[np.ndarray, float]:
    if image.mode in _GRAY:
        return np.asarray(image), 0.0
    if image.mode == 'LA':
        return np.asarray(image.convert('L')), 0.0
    rgb = image.convert('RGB')
    return np.asarray(rgb.convert('L')), coloured_share(np.asarray(rgb))
