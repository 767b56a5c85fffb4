"""What is fuzzed: small good files of every kind that is read, and what is done with a file that has been changed."""

import gzip
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import nibabel
import numpy as np
from dicom_files import LOSSLESS, LS, jpeg
from dicom_files import write as write_dicom
from e2e_files import FRAMES, e2e_bytes, parts_of
from fda_files import contour, fda_bytes, jpeg_slices, picture, plain_slices
from heyex_files import write_export
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.io.readers import read_scans

GRAY = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / 'docs/results/records/hrf/pspnet/train_usual_scratch_1000i_seed0.json'
_MOST_READ = 20  # B-scans of a file


@dataclass(frozen=True)
class Target:
    """A kind of file."""

    suffix: str
    seeds: Callable[[Path], list[bytes]]  # writes good files below a folder, and returns their bytes
    read: Callable[[Path], None]
    pack: Callable[[bytes], bytes] = field(default=lambda content: content)  # mends the container's sums after a change
    words: tuple[bytes, ...] = ()  # to which the format gives a meaning


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


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def picture_seeds(kind, *options):
    images = [Image.fromarray(GRAY[0]), Image.fromarray(GRAY[0]).convert('RGB')]
    seeds = [saved(image, kind, **one) for image in images for one in options or ({},)]
    if kind != 'JPEG':
        seeds += [saved(image, kind) for image in (Image.fromarray(GRAY[0].astype(np.uint16) * 257), images[0].convert('P'))]
        seeds.append(saved(images[0], kind, save_all=True, append_images=images[:1]))
    return lambda _: seeds


def dicom_seeds(folder):
    files = [write_dicom(folder / f'{place}.dcm', syntax=syntax, PixelSpacing=[0.004, 0.012], ImageLaterality='R')
             for place, syntax in enumerate((ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless))]  # fmt: skip
    packed = ((LOSSLESS, JPEGLosslessSV1), (LS, JPEGLSLossless))
    files += [jpeg(folder / f'{syntax}.dcm', content, syntax) for content, syntax in packed]
    return [path.read_bytes() for path in files]


def nifti_seeds(_):
    images = [nibabel.Nifti1Image(GRAY.T.astype(dtype), np.eye(4)) for dtype in (np.uint8, np.int16, np.float32)]
    return [image.to_bytes() for image in (*images, nibabel.Nifti2Image(GRAY.T, np.eye(4)))]


def mat_seeds(folder):
    savemat(folder / 'v.mat', {'images': GRAY.transpose(1, 2, 0), 'other': np.eye(3)})
    return [(folder / 'v.mat').read_bytes()]


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


_TIFF = ({}, dict(compression='tiff_lzw'), dict(compression='tiff_adobe_deflate'))
_WORDS = {
    'dicom': (b'\xff\x4f\xff\x51', b'SQ', b'UN', b'\xff\xff\xff\xff', b'1.2.840.10008.1.2'),
    'heyex': (b'<!DOCTYPE a [<!ENTITY b "c">]>', b'&b;', b'../', b'NaN', b'-1', b'1e999', b'<Series>', b'&#0;', b'x' * 5000),
    'fda': (b'@IMG_JPEG', b'@IMG_MOT_COMP_03', b'@CONTOUR_INFO', b'@ALIGN_INFO', b'%!PS-Adobe'),
    'model': (b'null', b'NaN', b'1e999', b'[' * 3000, b'9' * 5000, b'location'),
    'record': (*rb'NaN 1e999 -1 null {} [] "\ud800"'.split(), b'[' * 3000, b'9' * 5000, b'1' + b'0' * 30, b'\xff'),
}
_PLAIN = {
    'png': Target('.png', picture_seeds('PNG'), read_frames),
    'jpeg': Target('.jpg', picture_seeds('JPEG', {}, dict(progressive=True)), read_frames),
    'tiff': Target('.tif', picture_seeds('TIFF', *_TIFF), read_frames),
    'dicom': Target('.dcm', dicom_seeds, read_frames),
    'nifti': Target('.nii', nifti_seeds, read_frames),
    'nifti-gz': Target('.nii.gz', nifti_seeds, read_frames, lambda content: gzip.compress(content, 1)),
    'mat': Target('.mat', mat_seeds, read_frames),
    'vol': Target('.vol', lambda _: [vol_bytes(GRAY), vol_bytes(GRAY[:1], pattern=1)], read_frames),
    'e2e': Target('.e2e', e2e_seeds, read_frames),
    'heyex': Target('.xml', xml_seeds, read_frames),
    'fda': Target('.fda', fda_seeds, read_frames),
    'model': Target('.onnx', model_seeds, read_model),
    'record': Target('.json', record_seeds, read_record),
}
TARGETS = {name: replace(target, words=_WORDS.get(name, ())) for name, target in _PLAIN.items()}
