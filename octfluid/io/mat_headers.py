"""What the variables of a MATLAB file say of themselves, read before scipy follows it (MAT-File Format, level 5).

scipy makes room for whatever size a packed variable names, and ends the process on numbers of a kind that the format lacks.
"""

import contextlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from octfluid.io.unpacked import require_unpacked
from octfluid.utils.errors import InputError

_HEADER, _PACKED, _MATRIX = 128, 15, 14
_COMPLEX, _NUMERIC = 0x800, range(6, 16)  # flags of variables, and their kinds that hold numbers
_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)  # kinds: whole ones of 8 to 64 bits with and without sign, floating ones
_MOST_NAMED = 4096  # bytes of a variable's name, or of its list of dimensions


class _Packed:
    """Unpacks no more of a variable than is asked for."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left, self.unpack = file, size, zlib.decompressobj()

    def read(self, number: int) -> bytes:
        found = b''
        while len(found) < number:
            packed = self.unpack.unconsumed_tail
            if not packed:
                packed = self.file.read(min(self.left, 1024))
                self.left -= len(packed)
            part = self.unpack.decompress(packed, number - len(found))
            if not packed and not part:
                break
            found += part
        return found


def check_variables(path: Path, keys: Sequence[str]) -> None:
    """Refuse variables that scipy could not be trusted with.

    Args:
        path: A file, of whatever format; all but format 5 is left to scipy.
        keys: Variables that are going to be loaded.

    Raises:
        InputError: One comes to far more than the file holds, or one of ``keys`` is complex or of no kind of numbers.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEADER)
        if len(head) < _HEADER or 0 in head[:4]:
            return
        order = '<' if head.endswith(b'IM') else '>'
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f'{order}2I', tag)
            after = file.tell() + size
            with contextlib.suppress(struct.error, zlib.error):  # scipy says so, should it ever come to this variable
                source: BinaryIO | _Packed = file
                if kind == _PACKED:
                    source = _Packed(file, size)
                    kind, _ = struct.unpack(f'{order}2I', source.read(8))
                if kind == _MATRIX:
                    _check_variable(source, order, path, keys)
            file.seek(after)


def _check_variable(source: BinaryIO | _Packed, order: str, path: Path, keys: Sequence[str]) -> None:
    flags, parts = struct.unpack(f'{order}4I', source.read(16))[2], []
    for _ in ('dimensions', 'name'):
        _, size, rest = _tag(source, order)
        require_unpacked(0 if size <= _MOST_NAMED else 1 << 40, path)
        parts.append((rest or source.read(-(-size // 8) * 8))[:size])
    kind, size, _ = _tag(source, order)
    require_unpacked(size, path)
    name = parts[1].decode('latin-1')
    if name in keys and (flags & 0xFF) in _NUMERIC and (flags & _COMPLEX or kind not in _NUMBERS):
        raise InputError(f"{path}: '{name}' is not a real numeric array of three dimensions (height, width, slices)")


def _tag(source: BinaryIO | _Packed, order: str) -> tuple[int, int, bytes]:
    """Return kind and size of the next part of a variable and, of one of up to four bytes, which has no more, those."""
    tag = source.read(8)
    kind, size = struct.unpack(f'{order}2I', tag)
    return (kind & 0xFFFF, kind >> 16, tag[4:]) if kind >> 16 else (kind, size, b'')
