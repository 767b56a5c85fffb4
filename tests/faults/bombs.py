"""Small files that would fill the memory, or take for ever, of whoever believes what they say."""

import functools
import gzip
import io
import struct
import zlib

import nibabel
import numpy as np
from dicom_files import write as write_dicom
from e2e_files import FRAMES, META, e2e_bytes, meta
from fda_files import chunk, contour, fda_bytes, jpeg_slices, picture
from fuzz_targets import GRAY
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless
from vol_files import vol_bytes

MEGA = 1 << 20


def saved(pixels, kind, **options):
    stream = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, kind, **options)
    return stream.getvalue()


def put(content, place, form, *values):
    changed = bytearray(content)
    struct.pack_into(form, changed, place, *values)
    return bytes(changed)


def png_chunk(name, body):
    return struct.pack('>I', len(body)) + name + body + bytes(4)


def tiff(pages, side, strip):
    """Pages one after the other, all of one strip of pixels, packed."""
    tags = [(256, 4, side), (257, 4, side), (258, 3, 8), (259, 3, 8)]
    tags += [(262, 3, 1), (273, 4, 8), (278, 4, side), (279, 4, len(strip))]
    body = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in tags)
    first, size = 8 + len(strip), 6 + len(body)
    found = [struct.pack('<2sHI', b'II', 42, first), strip]
    for page in range(pages):
        after = first + (page + 1) * size if page < pages - 1 else 0
        found.append(struct.pack('<H', len(tags)) + body + struct.pack('<I', after))
    return b''.join(found)


def passes_jpeg(side=4096, number=20_000):
    """A progressive JPEG of many passes that change nothing, each over all its blocks."""
    plain = saved(np.zeros((side, side), np.uint8), 'JPEG', progressive=True)
    last = plain[plain.rindex(b'\xff\xda') : -2]
    return plain[:-2] + last * number + plain[-2:]


@functools.cache
def _packed_zeros():
    """Return 16 MB of zeros, packed so that it can be repeated."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(bytes(16 * MEGA)) + packer.flush(zlib.Z_FULL_FLUSH)


def packed(start, megabytes):
    """Return bytes and then zeros, packed without a head or a sum."""
    packer = zlib.compressobj(9, wbits=-15)
    return packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH) + _packed_zeros() * (megabytes // 16) + b'\3\0'


def zeros_gz(start, megabytes):
    """These bytes and then zeros, as parts that each unpack to 16 MB."""
    return gzip.compress(start, 1) + _member() * (megabytes // 16)


@functools.cache
def _member():
    return gzip.compress(bytes(16 * MEGA), 9)


def nifti_header(shape, offset=352):
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header['magic'], header['vox_offset'] = b'n+1', offset
    return header.binaryblock


def mat(size, dims=(40, 50, 3), kind=2, name=b'images', name_size=None):
    """A MATLAB file with one packed variable that says that it holds so many bytes, and does."""
    flags = struct.pack('<4I', 6, 8, 9, 0)
    head = struct.pack('<2I', 14, 64) + flags + struct.pack('<2I3i4x', 5, 12, *dims)
    head += struct.pack('<2I', 1, name_size or len(name)) + name.ljust(8, b'\0') + struct.pack('<2I', kind, size)
    content = b'\x78\1' + packed(head + bytes(size % (16 * MEGA)), size // MEGA) + bytes(4)
    return b'MATLAB 5.0'.ljust(124) + b'\0\1IM' + struct.pack('<2I', 15, len(content)) + content


def deflated_dicom(folder, megabytes=1024):
    path = write_dicom(folder / 'd.dcm')
    content = path.read_bytes()
    start = content.index(b'\x08\x00\x16\x00UI')
    long_name, short = str(DeflatedExplicitVRLittleEndian).encode(), b'1.2.840.10008.1.2.1\0'
    head = content[:start].replace(struct.pack('<H', 20) + short, struct.pack('<H', 22) + long_name, 1)
    size = struct.unpack_from('<I', head, 140)[0] + 2
    return put(head, 140, '<I', size) + packed(content[start:], megabytes)


def swollen_frame(folder, side=12_000):
    """A DICOM file of 40x50 pixels whose compressed frames say that they are of many more."""
    content = bytearray(write_dicom(folder / 's.dcm', syntax=JPEG2000Lossless).read_bytes())
    place = content.index(b'\xff\x4f\xff\x51')
    while place >= 0:
        struct.pack_into('>2I', content, place + 8, side, side)  # the picture
        struct.pack_into('>2I', content, place + 24, side, side)  # its only tile
        place = content.find(b'\xff\x4f\xff\x51', place + 1)
    return bytes(content)


def circle_e2e():
    """Chunks that lead to themselves."""
    content = e2e_bytes([(META, 0, meta(3, FRAMES[0]))])
    return put(content, 88 + 52 + 4, '<2I', 88 - 60, 0)


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha">' + ''.join(
    f'<!ENTITY b{n} "{f"&b{n - 1};" * 10 if n else "&b;" * 10}">' for n in range(9)
) + ']><HEDX>&b8;</HEDX>'  # fmt: skip


def swollen_picture(side=12_000):
    """A JPEG 2000 picture that says that it has many more pixels than it holds."""
    plain = picture(GRAY[0])
    stream, box = plain.index(b'\xff\x4f\xff\x51'), plain.index(b'ihdr')
    for place in (box + 4, stream + 8, stream + 24):  # of the picture in its box and in its stream, and of its only tile
        plain = put(plain, place, '>2I', side, side)
    return plain


def pictures(_):
    gray, side = saved(GRAY[0], 'JPEG'), 4096
    wide = put(gray, gray.index(b'\xff\xc0') + 5, '>2H', 65535, 65535)
    return {
        'PNG of 900 million pixels': ('.png', saved(Image.new('1', (30_000, 30_000)), 'PNG')),
        'JPEG that says 65535x65535': ('.jpg', wide),
        'JPEG of 20000 passes': ('.jpg', passes_jpeg()),
        'TIFF of 10001 pages': ('.tif', tiff(10_001, 64, zlib.compress(bytes(64 * 64)))),
        'TIFF whose 1000 pages are one strip': ('.tif', tiff(1_000, side, zlib.compress(bytes(side * side), 9))),
        'BMP that says 100000x100000': ('.bmp', put(saved(GRAY[0], 'BMP'), 18, '<2i', 100_000, 100_000)),
    }


def volumes(_):
    extension = b'\1\0\0\0' + struct.pack('<2I', 1_999_999_632, 6)
    return {
        'NIfTI of 1 GB in 1 MB': ('.nii.gz', zeros_gz(nifti_header((4096, 4096, 64)) + bytes(4), 1024)),
        'NIfTI with 2 GB before its values': ('.nii.gz', zeros_gz(nifti_header((50, 40, 3), 2e9) + extension, 2048)),
        'NIfTI that says 33 GB': ('.nii', nifti_header((4096, 4096, 2000)) + bytes(4_000)),
        'MATLAB variable of 1 GB in 1 MB': ('.mat', mat(1024 * MEGA)),
        'MATLAB variable of 4096x4096x64 in 1 MB': ('.mat', mat(1024 * MEGA, (4096, 4096, 64))),
        'MATLAB variable with a name of 1 GB': ('.mat', mat(1024 * MEGA, name_size=1000 * MEGA)),
        'MATLAB variable of a kind that is none': ('.mat', mat(6000, kind=0xFF00)),
        'XML of a billion laughs': ('.xml', LAUGHS.encode()),
        'XML of 200000 elements within each other': ('.xml', b'<a>' * 200_000 + b'</a>' * 200_000),
    }


def dicoms(folder):
    plain = write_dicom(folder / 'plain').read_bytes()
    rows, number = plain.index(b'\x28\x00\x10\x00US') + 8, plain.index(b'\x28\x00\x08\x00IS') + 8
    return {
        'DICOM of 65535x65535': ('.dcm', put(put(plain, rows, '<H', 65535), rows + 10, '<H', 65535)),
        'DICOM that says 2 billion frames': ('.dcm', plain[: number - 2] + b'\n\0' + b'2147483647' + plain[number + 2 :]),
        'DICOM of 1 GB packed as a whole': ('.dcm', deflated_dicom(folder)),
        'DICOM with frames of 144 million pixels': ('.dcm', swollen_frame(folder)),
    }


def instruments(_):
    slices, swollen, outlines = jpeg_slices(GRAY), swollen_picture(), contour(50, 3)
    slices_of = struct.pack('<B6I', 2, 0, 0, 50, 40, 1, 0) + struct.pack('<I', len(swollen)) + swollen
    return {
        '.vol that says 4 billion B-scans': ('.vol', put(vol_bytes(GRAY), 16, '<I', 0xFFFFFFFF)),
        '.vol with a view from above of 2**62 pixels': ('.vol', put(vol_bytes(GRAY), 48, '<2I', 1 << 31, 1 << 31)),
        '.e2e that leads in a circle': ('.e2e', circle_e2e()),
        '.fda that says 4 billion B-scans': ('.fda', fda_bytes(put(slices, 10 + 4 + 17, '<I', 0xFFFFFFFF))),
        '.fda with a B-scan of 144 million pixels': ('.fda', fda_bytes(chunk(b'@IMG_JPEG', slices_of), outlines, outlines)),
    }


def bombs(folder):
    """Return suffix and bytes of every file, by what it is."""
    return {**pictures(folder), **volumes(folder), **dicoms(folder), **instruments(folder)}
