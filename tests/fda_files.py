"""Topcon .fda files, byte by byte after the layout that OCT-Converter documents: named parts one after the other."""

import io
import struct

import numpy as np
from PIL import Image


def chunk(name, content):
    return bytes([len(name)]) + name + struct.pack('<I', len(content)) + content


def picture(pixels, kind='JPEG2000'):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def jpeg_slices(frames, kind='JPEG2000'):
    content = struct.pack('<B6I', 2, 0, 0, frames.shape[2], frames.shape[1], len(frames), 0)
    for frame in frames:
        packed = picture(frame, kind)
        content += struct.pack('<I', len(packed)) + packed
    return chunk(b'@IMG_JPEG', content)


def plain_slices(frames):
    number, height, width = frames.shape
    values = frames.astype('<u2').transpose(2, 1, 0).tobytes(order='F')
    return chunk(b'@IMG_MOT_COMP_03', struct.pack('<B4IBI', 2, width, height, 16, number, 1, len(values)) + values)


def contour(width, height, name=b'MULTILAYERS_1'):
    values = np.full(width * height, 20, '<u2').tobytes()
    return chunk(b'@CONTOUR_INFO', struct.pack('<20s2B3I', name, 0, 0, width, height, len(values)) + values)


def fda_bytes(slices, *more, fundus=None):
    """A file with these parts and those that every one has."""
    fundus = picture(np.zeros((64, 64, 3), np.uint8), 'JPEG') if fundus is None else fundus
    parts = [
        slices,
        chunk(b'@PARAM_SCAN_04', struct.pack('<3I5d2B', 0, 0, 0, 6.0, 6.0, 2.6, 0, 0, 0, 0)),
        chunk(b'@IMG_FUNDUS', struct.pack('<4I4sI', 64, 64, 24, 1, b'JPEG', len(fundus)) + fundus),
        chunk(b'@REGIST_INFO', struct.pack('<B6I32s4I', 0, 0, 0, 4, 4, 60, 60, b'1', 4, 4, 60, 60)),
        chunk(b'@CAPTURE_INFO_02', struct.pack('<2BI100s6H', 0, 2, 1, b'x', 2020, 1, 2, 3, 4, 5) + bytes(52)),
        *more,
    ]
    return struct.pack('<4s3s2I', b'FOCT', b'FDA', 8, 0) + b''.join(parts) + b'\0'
