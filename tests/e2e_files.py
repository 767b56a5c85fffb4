"""Heidelberg .e2e files, byte by byte as eyepy documents them: a header, chunks of folders, and what these point to."""

import struct

import numpy as np

HEADER, CHUNK, FOLDER, CONTAINER = 88, 52, 44, 60
LATERALITY, SCAN_PATTERN, META, IMAGE = 11, 9006, 10004, 0x40000000
BSCAN, LOCALIZER = 35652097, 33620481


def image(frame, kind=BSCAN):
    """Of a B-scan (H, W), uint16 in the format's own floating-point numbers."""
    values = frame.astype('<u2').tobytes()
    return struct.pack('<5I', len(values), kind, frame.size, *frame.shape) + values


def meta(pattern, frame, place=0, number=1):
    fields = bytearray(428)
    struct.pack_into('<2I', fields, 4, *frame.shape)
    struct.pack_into('<3I', fields, 64, number, place, pattern)
    return bytes(fields)


def text(*parts, size=256):
    return struct.pack('<2I', len(parts), size) + b''.join(part.encode('utf-16').ljust(size, b'\0') for part in parts)


def parts_of(frames, pattern=3, side=b'R'):
    """Kind, slice (-1 for the series itself) and bytes of what a series of B-scans (Z, H, W) holds."""
    found = [(LATERALITY, -1, bytes(14) + side + bytes(12)), (SCAN_PATTERN, -1, text('OCT', 'Volume'))]
    for place, frame in enumerate(frames):
        found.append((META, 2 * place, meta(pattern, frame, place, len(frames))))
        found.append((IMAGE, 2 * place, image(frame)))
    return found


def e2e_bytes(*series):
    """A file of one patient; each series is what `parts_of` returns, and has a chunk of its own."""
    content = struct.pack('<12sI10H', b'CMDb', 100, *[0] * 10)
    content += struct.pack('<12sI10H4I', b'MDbMDir', 100, *[0] * 10, 512, HEADER, HEADER, 0)
    for number, parts in enumerate(series):
        start = len(content) + CHUNK + FOLDER * len(parts)
        content += struct.pack('<12sI10H4I', b'MDbDir', 100, *[0] * 10, len(parts), len(content), 0, 0)
        folders = data = b''
        for kind, place, held in parts:
            here, ids = start + len(data), (1, 1, number, place)
            folders += struct.pack('<4I4i2H2I', 0, here, len(held), 0, *ids, 1, 0, kind, 0)
            data += struct.pack('<12s5I4i2H2I', b'MDbData', 0, 0, here, len(held), 0, *ids, 1, 0, kind, 0) + held
        content += folders + data
    return content


FRAMES = np.random.default_rng(0).integers(0x8000, 0xFC00, (3, 40, 50)).astype(np.uint16)
