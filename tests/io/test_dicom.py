import numpy as np
import pytest
from dicom_files import VOLUME, measures, write
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from octfluid.io.readers import read_scans
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError


def read(path):
    (scan,) = read_scans(path)
    return scan


@pytest.mark.parametrize('syntax', [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_frames_plain_and_compressed(tmp_path, syntax):
    scan = read(write(tmp_path / 'v.dcm', syntax=syntax))
    assert scan.is_volume
    np.testing.assert_array_equal(list(scan.frames), VOLUME)


DIM = np.stack([VOLUME[0], VOLUME[1] // 100, VOLUME[2].astype(np.uint16) * 4]).astype(np.uint16)


@pytest.mark.parametrize(('values', 'elements', 'white'), [
    (VOLUME.astype(np.uint16) * 16, dict(BitsStored=12, HighBit=11), 4095), (VOLUME.astype(np.uint16), {}, 255),
    (DIM, {}, 1023),
])  # fmt: skip
def test_words_of_16_bits_are_scaled_by_the_bits_that_the_whole_file_uses(tmp_path, values, elements, white):
    scan = read(write(tmp_path / 'v.dcm', values, **elements))
    np.testing.assert_allclose(list(scan.frames), values * (255 / white), rtol=1e-5)


def test_scale_of_multi_frame_files(tmp_path):
    assert read(write(tmp_path / 'v.dcm', **measures())).spacing == Spacing(0.004, 0.012)


def test_scale_of_single_files_and_side_and_persons(tmp_path):
    scan = read(write(tmp_path / 'b.dcm', VOLUME[:1], PixelSpacing=[0.003, 0.01], ImageLaterality='L'))
    assert (scan.spacing.axial, scan.spacing.lateral, scan.laterality, scan.device) == (0.003, 0.01, 'OS', 'Acme Eye 3')
    assert scan.identifiers['PatientName'] == 'Doe^Jane' and scan.identifiers['StudyDate'] == '20260102'
    plain = read(write(tmp_path / 'c.dcm', VOLUME[:1]))
    assert plain.laterality is None and plain.spacing is None and not plain.is_volume
    inverted = read(write(tmp_path / 'd.dcm', PhotometricInterpretation='MONOCHROME1'))
    np.testing.assert_array_equal(inverted.frames[0], 255 - VOLUME[0])


@pytest.mark.parametrize(('frames', 'elements', 'said'), [
    (VOLUME, dict(Modality='CT'), 'modality is CT'), (VOLUME, dict(Modality=''), 'modality is not given'),
    (VOLUME, dict(NumberOfFrames=10**8), '100000000 B-scans'), (VOLUME, dict(Rows=4, Columns=4), '4x4 pixels'),
    (VOLUME, dict(PixelData=b'\0' * 100), 'bytes'), (VOLUME, dict(PhotometricInterpretation='PALETTE COLOR'), 'PALETTE COLOR'),
    (VOLUME.astype(np.uint16) << 8, dict(BitsStored=12, HighBit=15), 'number 15 of 12'),
    (VOLUME, dict(NumberOfFrames=2), '2 B-scans, and holds 3'), (VOLUME, dict(NumberOfFrames=0), '1 B-scans, and holds 3'),
])  # fmt: skip
def test_what_would_be_read_wrongly_is_one_line(tmp_path, frames, elements, said):
    path = write(tmp_path / 'v.dcm', frames, **elements)
    with pytest.raises(InputError, match=said) as raised:
        read(path)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)
