"""What is fuzzed: small good files of every kind that is read, and what is done with a file that has been changed.

Nothing here asks for pytest, so that the children that read changed files start fast.
"""

import gzip
import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import checkpoint_files
import nibabel
import numpy as np
from dicom_files import write as write_dicom
from e2e_files import FRAMES, e2e_bytes, parts_of
from fda_files import contour, fda_bytes, jpeg_slices, picture, plain_slices
from heyex_files import write_export
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.io.readers import read_scans

GRAY = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / 'docs/results/records/hrf/pspnet/train_usual_scratch_1000i_seed0.json'
_MOST_READ = 20  # B-scans of a file


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Attributes:
        suffix: Its name's end.
        seeds: Writes good files below a folder, and returns their bytes.
        read: Reads a file, all of it; raises `octfluid.utils.errors.OctfluidError` of one that is not good.
        pack: Makes a changed file pass the checks of its container (sums, compression), so that what is inside is read.
        words: That the format gives a meaning.
    """

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    read: Callable[[Path], None]
    pack: Callable[[bytes], bytes] = field(default=lambda content: content)
    words: tuple[bytes, ...] = ()


def read_frames(path):
    """Read each scan of a file, and its B-scans."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        for scan in read_scans(path):
            for place in range(min(len(scan.frames), _MOST_READ)):
                frame = scan.frames[place]
                assert frame.ndim == 2 and frame.dtype in (np.uint8, np.float32), (frame.shape, frame.dtype)


def read_model(path):
    from octfluid.inference.predictor import Predictor

    Predictor(path, threads=1)


def read_record(path):
    from octfluid.records.record import read_record

    read_record(path)


def saved(kind, images, **options):
    stream = io.BytesIO()
    images[0].save(stream, kind, **options, **(dict(save_all=True, append_images=images[1:]) if images[1:] else {}))
    return stream.getvalue()


def picture_seeds(kind, *options):
    gray, words = [Image.fromarray(one) for one in GRAY], Image.fromarray(GRAY[0].astype(np.uint16) * 257)
    modes = [gray[:1], [gray[0].convert('RGB')]] + ([[words]] if kind in ('PNG', 'TIFF') else [])
    modes += [gray, [gray[0].convert('P')]] if kind in ('PNG', 'TIFF') else []
    return lambda _: [saved(kind, images, **one) for images in modes for one in options or ({},)]


def dicom_seeds(folder):
    files = [write_dicom(folder / f'{place}.dcm', syntax=syntax, PixelSpacing=[0.004, 0.012], ImageLaterality='R')
             for place, syntax in enumerate((ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless))]  # fmt: skip
    return [path.read_bytes() for path in files]


def nifti_seeds(_):
    files = []
    for dtype in (np.uint8, np.int16, np.float32):
        image = nibabel.Nifti1Image(GRAY.T.astype(dtype), np.eye(4))
        image.header.set_xyzt_units('mm')
        files.append(image.to_bytes())
    scaled = nibabel.Nifti2Image(GRAY.T, np.eye(4))
    scaled.header.set_slope_inter(0.5, 1)
    return [*files, scaled.to_bytes()]


def mat_seeds(folder):
    found = []
    for packed in (False, True):
        savemat(folder / 'v.mat', {'images': GRAY.transpose(1, 2, 0), 'other': np.eye(3)}, do_compression=packed)
        found.append((folder / 'v.mat').read_bytes())
    savemat(folder / 'v.mat', {'images': GRAY.transpose(1, 2, 0) / 255.0})
    return [*found, (folder / 'v.mat').read_bytes()]


def e2e_seeds(_):
    return [e2e_bytes(parts_of(FRAMES)), e2e_bytes(parts_of(FRAMES[:1]), parts_of(FRAMES[:1], 2, b'L'))]


def xml_seeds(folder):
    return [write_export(folder).read_bytes()]


def fda_seeds(_):
    outlines = contour(50, 3), contour(50, 3, b'MULTILAYERS_2')
    small = picture(np.zeros((8, 8, 3), np.uint8), 'JPEG')
    return [fda_bytes(slices, *outlines, fundus=small) for slices in
            (jpeg_slices(GRAY), jpeg_slices(GRAY, 'JPEG'), plain_slices(GRAY))]  # fmt: skip


def model_seeds(_):
    import onnx
    from inference.test_model import INFO, build

    return [build(onnx, INFO.to_metadata()).SerializeToString()]


def record_seeds(_):
    from octfluid.metrics.confusion import pooled_metrics
    from octfluid.records.record import format_record

    record = json.loads(RECORD.read_text())
    record |= dict(images=record['images'][:2], history=record['history'][:3])
    record['metrics'] = pooled_metrics(record['images'], ('background', 'vessel'))
    return [format_record(record).encode()]


def sum_png(content):
    """Give each chunk of a PNG the sum that it should have."""
    found, place = content[:8], 8
    while place + 12 <= len(content):
        (size,) = struct.unpack_from('>I', content, place)
        body = content[place + 4 : place + 8 + size]
        found += content[place : place + 4] + body + struct.pack('>I', zlib.crc32(body))
        place += 12 + size
    return found + content[place:]


def pack_mat(content):
    """Compress each variable of a MATLAB file."""
    found, place = content[:128], 128
    while place + 8 <= len(content):
        (size,) = struct.unpack_from('<I', content, place + 4)
        part = content[place : place + 8 + size]
        packed = zlib.compress(part, 1)
        found += part if part[0] == 15 else struct.pack('<2I', 15, len(packed)) + packed
        place += 8 + size
    return found


_TIFF = ({}, dict(compression='tiff_lzw'), dict(compression='tiff_adobe_deflate'))
_WORDS = {
    'png': (b'acTL', b'fcTL', b'fdAT', b'iCCP', b'zTXt', b'tRNS', b'PLTE'),
    'jpeg': (b'\xff\xda', b'\xff\xc2', b'\xff\xc0', b'\xff\xe1', b'MPF\0', b'\xff\xdd'),
    'dicom': (b'\xff\x4f\xff\x51', b'SQ', b'UN', b'\xff\xff\xff\xff', b'1.2.840.10008.1.2'),
    'heyex': (b'<!DOCTYPE a [<!ENTITY b "c">]>', b'&b;', b'../', b'NaN', b'-1', b'1e999', b'<Series>', b'&#0;', b'x' * 5000),
    'fda': (b'@IMG_JPEG', b'@IMG_MOT_COMP_03', b'@CONTOUR_INFO', b'@ALIGN_INFO', b'%!PS-Adobe'),
    'model': (b'null', b'NaN', b'1e999', b'[' * 3000, b'9' * 5000, b'location'),
    'record': (*rb'NaN 1e999 -1 null {} [] "\ud800"'.split(), b'[' * 3000, b'9' * 5000, b'1' + b'0' * 30, b'\xff'),
}
_NUMBERS = (b'\x80\x02', b'\x8a\x08' + b'\xff' * 8, b'J\xff\xff\xff\x7f', b'}q\x00')
_PICKLED = (*_NUMBERS, b'ctorch\nload\n', b'cposix\nsystem\n', b'R.')
_WORDS |= dict.fromkeys(('checkpoint', 'checkpoint-legacy'), _PICKLED)
_PLAIN = {
    'png': Target('.png', picture_seeds('PNG'), read_frames, sum_png),
    'jpeg': Target('.jpg', picture_seeds('JPEG', {}, dict(progressive=True)), read_frames),
    'bmp': Target('.bmp', picture_seeds('BMP'), read_frames),
    'tiff': Target('.tif', picture_seeds('TIFF', *_TIFF), read_frames),
    'dicom': Target('.dcm', dicom_seeds, read_frames),
    'nifti': Target('.nii', nifti_seeds, read_frames),
    'nifti-gz': Target('.nii.gz', nifti_seeds, read_frames, lambda content: gzip.compress(content, 1)),
    'mat': Target('.mat', mat_seeds, read_frames),
    'mat-packed': Target('.mat', mat_seeds, read_frames, pack_mat),
    'vol': Target('.vol', lambda _: [vol_bytes(GRAY), vol_bytes(GRAY[:1], pattern=1)], read_frames),
    'e2e': Target('.e2e', e2e_seeds, read_frames),
    'heyex': Target('.xml', xml_seeds, read_frames),
    'fda': Target('.fda', fda_seeds, read_frames),
    'model': Target('.onnx', model_seeds, read_model),
    'record': Target('.json', record_seeds, read_record),
    'checkpoint': Target('.pth', checkpoint_files.pickle_seeds, checkpoint_files.read, checkpoint_files.pack_pickle),
    'checkpoint-legacy': Target('.pth', checkpoint_files.legacy_seeds, checkpoint_files.read),
}
TARGETS = {name: replace(target, words=_WORDS.get(name, ())) for name, target in _PLAIN.items()}
