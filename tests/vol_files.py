"""Heidelberg .vol files, byte by byte after the published layout of their headers (HSF-OCT-103)."""

import struct

import numpy as np

HEADER, SEGMENTS = 2048, 2


def raw(gray):
    """Reflectivity that is shown as these gray values: the inverse of what the exporter's readers do."""
    return (np.exp(gray.astype(np.float64) / 255 * 8.285 - 8.3) - 2.44e-04).astype('<f4')


def vol_bytes(
    frames, *, pattern=3, eye=b'OD', scale=(0.0113, 0.123, 0.00387), slo=8, version=b'HSF-OCT-103', patient=b'4711', ends=None
):
    """A volume of gray frames (Z, H, W); ``scale`` is (lateral, between B-scans, axial) in mm, as the header has it.

    ``ends`` are those of each B-scan, (x, y) in mm; as far apart as the header says if they are not given.
    """
    number, height, width = frames.shape
    bscan_header = 256 + 4 * SEGMENTS * width
    header = struct.pack('<12sIII3d', version, width, number, height, *scale)
    header += struct.pack('<II2dI', slo, slo, 0.01, 0.01, 30) + struct.pack('<d4s', 0.0, eye)
    ids = (b'1', b'', 7, patient, 30_000.0, 8, b'visit', 40_000.0)
    header += struct.pack('<Qi I 16s 16s I 24s d I 24s d', 130_000_000_000_000_000, pattern, bscan_header, *ids)
    header += struct.pack('<IIII34s', 0, 0, 0, 0, b'')
    content = header.ljust(HEADER, b'\0') + bytes(slo * slo)
    for place, frame in enumerate(frames):
        start, end = ends[place] if ends else ((0.0, place * scale[1]), (1.0, place * scale[1]))
        rest = (SEGMENTS, 256, 30.0, 0, *[0.0] * 6)
        head = struct.pack('<12sI4dII fI 6f', b'HSF-BS-103', bscan_header, *start, *end, *rest)
        segments = np.full(SEGMENTS * width, 3.4028235e38, '<f4').tobytes()
        content += (head.ljust(256, b'\0') + segments).ljust(bscan_header, b'\0') + raw(frame).tobytes()
    return content
