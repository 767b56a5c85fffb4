import sys

import numpy as np
import pydicom
import pytest
from dicom_files import LOSSLESS, LS, SLOPE, VOLUME, jpeg, write
from pydicom import uid
from pydicom.data import get_testdata_file

from octfluid.io.readers import read_scans
from octfluid.utils.cli import reason_of
from octfluid.utils.errors import InputError


def read(path):
    (scan,) = read_scans(path)
    return scan


@pytest.mark.parametrize('syntax', [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEG2000Lossless])
def test_frames_plain_and_compressed(tmp_path, syntax):
    scan = read(write(tmp_path / 'v.dcm', syntax=syntax))
    assert scan.is_volume
    np.testing.assert_array_equal(list(scan.frames), VOLUME)


@pytest.mark.parametrize('photometric', ['MONOCHROME1', 'MONOCHROME2'])
@pytest.mark.parametrize('elements', [dict(BitsStored=12, HighBit=11), {}])
def test_words_of_16_bits_are_scaled_by_the_greatest_of_the_whole_file(tmp_path, elements, photometric):
    values = np.stack([VOLUME[0], VOLUME[1] // 100, VOLUME[2].astype(np.uint16) * 4]).astype(np.uint16)
    scan = read(write(tmp_path / 'v.dcm', values, PhotometricInterpretation=photometric, **elements))
    gray = values * (255 / values.max())
    np.testing.assert_allclose(list(scan.frames), 255 - gray if photometric == 'MONOCHROME1' else gray, rtol=1e-5, atol=1e-4)


PACKED = pytest.mark.parametrize(('packed', 'syntax'), [
    (LOSSLESS, uid.JPEGLossless), (LOSSLESS, uid.JPEGLosslessSV1), (LS, uid.JPEGLSLossless),
], ids=['lossless', 'SV1', 'LS'])  # fmt: skip


@PACKED
def test_lossless_jpeg_gives_its_pixels(tmp_path, packed, syntax):
    np.testing.assert_array_equal(read(jpeg(tmp_path / 'v.dcm', packed, syntax)).frames, [SLOPE, SLOPE])


def test_examples_of_pydicom(tmp_path):
    found = []
    for name in ('MR_small_jpeg_ls_lossless.dcm', 'MR_small.dcm', 'JPGExtended.dcm'):
        dataset = pydicom.dcmread(get_testdata_file(name, download=False))
        dataset.Modality = 'OPT'
        dataset.save_as(tmp_path / name)
        found.append(read(tmp_path / name).frames[0])
    packed, plain, extended = found
    np.testing.assert_array_equal(packed, plain)
    assert extended[420, 140] / extended[230, 120] == pytest.approx(244 / 95, rel=1e-5)  # values that pydicom publishes


@PACKED
@pytest.mark.parametrize('change', [
    lambda frame: frame.replace(b'\0\x28\0\x32', b'\xff\xff\xff\xff', 1), lambda frame: frame[:40],
], ids=['size', 'cut'])  # fmt: skip
def test_a_damaged_jpeg_frame_is_one_line_at_once(tmp_path, packed, syntax, change):
    with pytest.raises(InputError, match=r'v\.dcm: '):
        read(jpeg(tmp_path / 'v.dcm', packed, syntax, change))


def test_the_package_for_jpeg_is_named(tmp_path, monkeypatch):
    path = jpeg(tmp_path / 'v.dcm', LOSSLESS, uid.JPEGLosslessSV1)
    monkeypatch.setitem(sys.modules, 'libjpeg', None)
    with pytest.raises(ModuleNotFoundError) as raised:
        read(path)
    assert "'octfluid[jpeg]'" in reason_of(path, raised.value)


def test_scale_of_single_files_and_side_and_persons(tmp_path):
    scan = read(write(tmp_path / 'b.dcm', VOLUME[:1], PixelSpacing=[0.003, 0.01], ImageLaterality='L'))
    assert (scan.spacing.axial, scan.spacing.lateral, scan.laterality, scan.device) == (0.003, 0.01, 'OS', 'Acme Eye 3')
    assert scan.identifiers['PatientName'] == 'Doe^Jane' and scan.identifiers['StudyDate'] == '20260102'
    plain = read(write(tmp_path / 'c.dcm', VOLUME[:1]))
    assert plain.laterality is None and plain.spacing is None and not plain.is_volume


@pytest.mark.parametrize(('frames', 'elements', 'said'), [
    (VOLUME, dict(Modality='CT'), 'CT'), (VOLUME, dict(Modality=''), 'modality'),
    (VOLUME, dict(NumberOfFrames=10**8), '100000000'), (VOLUME, dict(Rows=4, Columns=4), '4x4 pixels'),
    (VOLUME, dict(PixelData=b'\0' * 100), 'bytes'), (VOLUME, dict(PhotometricInterpretation='PALETTE COLOR'), 'PALETTE COLOR'),
    (VOLUME.astype(np.uint16) << 8, dict(BitsStored=12, HighBit=15), r'15.*12'),
    (VOLUME, dict(NumberOfFrames=2), r'2 B-scans.*3'), (VOLUME, dict(NumberOfFrames=0), r'1 B-scans.*3'),
])  # fmt: skip
def test_what_would_be_read_wrongly_is_one_line(tmp_path, frames, elements, said):
    path = write(tmp_path / 'v.dcm', frames, **elements)
    with pytest.raises(InputError, match=said) as raised:
        read(path)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)
