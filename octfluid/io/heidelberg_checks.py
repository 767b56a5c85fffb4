"""Whether the headers of Heidelberg files promise what can be, read before the parsers make room for it or follow them."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from octfluid.io.scan import require_frames, require_size
from octfluid.utils.errors import InputError

_VOL_HEADER = 2048  # bytes
_E2E_HEADER, _CHUNK, _FOLDER, _CONTAINER = 88, 52, 44, 60  # bytes: of the file, of each chunk, of what points to data, of data
_IMAGE, _TEXTS = 0x40000000, (9000, 9001, 9005, 9006, 9007, 9008)
_PARSED = (11, 10004, _IMAGE, *_TEXTS)  # kinds of data that are looked into
_MOST_TEXTS = 100


def check_vol(path: Path, content: bytes | bytearray) -> None:
    """Check the sizes in the header of a ``.vol`` file.

    Raises:
        InputError: It is too short for them, or they are none of a scan.
    """
    if len(content) < _VOL_HEADER:
        raise InputError(f'{path}: not a Heidelberg .vol file, or cut short or damaged; export it again')
    width, number, height = struct.unpack_from('<3I', content, 12)
    slo = struct.unpack_from('<2I', content, 48)
    (head,) = struct.unpack_from('<I', content, 100)
    if number == 0:
        raise InputError(f'{path}: holds no B-scan; export it again')
    require_frames(number, str(path))
    require_size(height, width, str(path))
    if _VOL_HEADER + slo[0] * slo[1] + number * (head + 4 * width * height) > len(content):
        raise InputError(f'{path}: smaller than its header says, cut short or damaged; export it again')


def check_e2e(path: Path) -> None:
    """Follow the chunks of an ``.e2e`` file as its parser does, which comes to no end where they lead in a circle.

    Raises:
        InputError: They do, or what they point to is several times as large as the file, or holds texts without number.
    """
    if path.stat().st_size < _E2E_HEADER:
        return
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        entries = data = 0
        for first, number in _chunks(path, content):
            entries += number
            if entries * _FOLDER > 2 * len(content):
                raise InputError(f'{path}: its chunks lie one over the other; it is damaged, export it again')
            folders = content[first : first + number * _FOLDER]
            for folder in struct.iter_unpack('<4I4i2H2I', folders):
                data += _cost(path, content, start=folder[1], size=folder[2], kind=folder[10]) if folder[10] in _PARSED else 0
            if data > 2 * len(content):
                raise InputError(f'{path}: points to more data than it holds; it is damaged, export it again')


def _chunks(path: Path, content: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield where the folders of each chunk begin, and how many there are."""
    place, seen = _E2E_HEADER, set()
    while place + _CHUNK <= len(content):
        if place in seen:
            raise InputError(f'{path}: its chunks lead in a circle; it is damaged, export it again')
        seen.add(place)
        (number,) = struct.unpack_from('<I', content, place + 36)
        first = place + _CHUNK
        if number == 0 or first + number * _FOLDER > len(content):
            return
        yield first, number
        _, start, size = struct.unpack_from('<3I', content, first + (number - 1) * _FOLDER)
        place = start + size + _CONTAINER


def _cost(path: Path, content: mmap.mmap, start: int, size: int, kind: int) -> int:
    """Return how many bytes the parser will read for a folder."""
    head = content[start : start + _CONTAINER + 12].ljust(_CONTAINER + 12, b'\0')  # a text may end the file
    (inside,) = struct.unpack_from('<I', head, 20 + 4)
    held, first, second, third = struct.unpack_from('<I4x3I', head, 52)
    if held != kind:  # is parsed as something else than it is looked for
        return len(content)
    if kind in _TEXTS and (first > _MOST_TEXTS or first * second > len(content)):
        raise InputError(f'{path}: says that it has {first} texts of one kind; it is damaged, export it again')
    return max(size, inside, *((first, 2 * third) if kind == _IMAGE else ()))
