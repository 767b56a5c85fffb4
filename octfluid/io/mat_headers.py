"""What the packed variables of a MATLAB file say of their size, read before scipy allocates it (MAT-File Format, level 5)."""

import contextlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from octfluid.errors import InputError
from octfluid.io.unpacked import require_unpacked

_HEADER, _PACKED, _MATRIX, _COMPLEX = 128, 15, 14, 0x800
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
                raise EOFError
            found += part
        return found


def require_modest(path: Path, keys: Sequence[str]) -> None:
    """Refuse packed variables that come to far more than the file holds.

    Args:
        path: A file, of whatever format; all but format 5 is left to scipy, which finds no packed variables in it.
        keys: Variables that are going to be loaded.

    Raises:
        InputError: One is too large, or complex.
    """
    with open(path, 'rb') as file:
        head = file.read(_HEADER)
        if len(head) < _HEADER or 0 in head[:4]:
            return
        order = '<' if head.endswith(b'IM') else '>'
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f'{order}2I', tag)
            after = file.tell() + size
            if kind == _PACKED:
                with contextlib.suppress(EOFError, zlib.error):  # scipy says so, should it ever come to this variable
                    _check_variable(_Packed(file, size), order, path, keys)
            file.seek(after)


def _check_variable(packed: _Packed, order: str, path: Path, keys: Sequence[str]) -> None:
    if struct.unpack(f'{order}2I', packed.read(8))[0] != _MATRIX:
        return
    flags = struct.unpack(f'{order}4I', packed.read(16))[2]
    parts = []
    for _ in ('dimensions', 'name'):
        size, rest = _tag(packed, order)
        require_unpacked(0 if size <= _MOST_NAMED else 1 << 32, path)
        parts.append((rest or packed.read(-(-size // 8) * 8))[:size])
    require_unpacked(_tag(packed, order)[0], path)
    name = parts[1].decode('latin-1')
    if flags & _COMPLEX and name in keys:
        raise InputError(f"{path}: '{name}' is not a real numeric array of three dimensions (height, width, slices)")


def _tag(packed: _Packed, order: str) -> tuple[int, bytes]:
    """Return the size of the next part of a variable and, of one of up to four bytes, which has no more, those."""
    tag = packed.read(8)
    kind, size = struct.unpack(f'{order}2I', tag)
    return (kind >> 16, tag[4:]) if kind >> 16 else (size, b'')
