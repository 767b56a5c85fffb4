import numpy as np
import pydicom
import pytest
from dicom_files import VOLUME, write
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from octfluid.io.dicom import read_dicom
from octfluid.utils.errors import InputError


def measures(spacing=(0.004, 0.012), between=None, positions=()):
    """Functional groups as multi-frame files have them."""
    holder = Dataset()
    holder.PixelSpacing = list(spacing)
    if between is not None:
        holder.SpacingBetweenSlices = between
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([holder])
    groups = []
    for position in positions:
        place, group = Dataset(), Dataset()
        place.ImagePositionPatient = list(position)
        group.PlanePositionSequence = Sequence([place])
        groups.append(group)
    return dict(SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(groups))


@pytest.mark.parametrize('syntax', [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_frames_plain_and_compressed(tmp_path, syntax):
    scan = read_dicom(write(tmp_path / 'v.dcm', syntax=syntax))
    assert scan.is_volume and len(scan.frames) == 3
    np.testing.assert_array_equal(list(scan.frames), VOLUME)


def test_one_frame_is_a_single_scan(tmp_path):
    scan = read_dicom(write(tmp_path / 'b.dcm', VOLUME[:1]))
    assert not scan.is_volume and len(scan.frames) == 1 and scan.spacing is None


def test_twelve_bits_in_sixteen(tmp_path):
    values = VOLUME.astype(np.uint16) * 16
    scan = read_dicom(write(tmp_path / 'v.dcm', values, BitsStored=12, HighBit=11))
    np.testing.assert_allclose(scan.frames[1], values[1] * (255 / 4095), rtol=1e-5)


def test_monochrome1_is_turned_round(tmp_path):
    scan = read_dicom(write(tmp_path / 'v.dcm', PhotometricInterpretation='MONOCHROME1'))
    np.testing.assert_array_equal(scan.frames[0], 255 - VOLUME[0])


@pytest.mark.parametrize(('groups', 'between'), [
    (measures(), None), (measures(between=0.25), 0.25), (measures(positions=[(0, 0, 0), (0, 0, 0.2), (0, 0, 0.4)]), 0.2),
    (measures(between=0.25, positions=[(0, 0, 0), (0, 3, 0), (0, 4, 0)]), 0.25),
])  # fmt: skip
def test_scale_of_multi_frame_files(tmp_path, groups, between):
    spacing = read_dicom(write(tmp_path / 'v.dcm', **groups)).spacing
    assert (spacing.axial, spacing.lateral) == (0.004, 0.012)
    assert spacing.slice == (None if between is None else pytest.approx(between))


def test_thickness_of_a_slice_is_no_distance(tmp_path):
    groups = measures()
    groups['SharedFunctionalGroupsSequence'][0].PixelMeasuresSequence[0].SliceThickness = 0.1
    assert read_dicom(write(tmp_path / 'v.dcm', **groups)).spacing.slice is None


def test_scale_of_single_files_and_side_and_persons(tmp_path):
    scan = read_dicom(write(tmp_path / 'b.dcm', VOLUME[:1], PixelSpacing=[0.003, 0.01], ImageLaterality='L'))
    assert (scan.spacing.axial, scan.spacing.lateral, scan.laterality, scan.device) == (0.003, 0.01, 'OS', 'Acme Eye 3')
    assert scan.identifiers['PatientName'] == 'Doe^Jane' and scan.identifiers['StudyDate'] == '20260102'
    assert read_dicom(write(tmp_path / 'c.dcm')).laterality is None


@pytest.mark.parametrize(('elements', 'said'), [
    (dict(Modality='CT'), 'its modality is CT; expected OPT'),
    (dict(Modality=''), 'its modality is not given'),
    (dict(NumberOfFrames=10**8), 'says that it has 100000000 B-scans'),
    (dict(Rows=4, Columns=4), '4x4 pixels; expected a B-scan'),
    (dict(PixelData=b'\0' * 100), 'frame 0 cannot be decoded|damaged'),
])  # fmt: skip
def test_what_is_no_tomography_is_one_line(tmp_path, elements, said):
    path = write(tmp_path / 'v.dcm', **elements)
    with pytest.raises(InputError, match=said) as raised:
        list(read_dicom(path).frames)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)


def test_a_report_without_an_image(tmp_path):
    path = write(tmp_path / 'v.dcm')
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(InputError, match='a DICOM file without an image'):
        read_dicom(path)


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'not a DICOM file'), (b'a letter' * 100, 'not a DICOM file'), (b'\0' * 128 + b'DICM' + b'\x08\x00\x05', 'v.dcm: '),
])  # fmt: skip
def test_other_files_are_one_line(tmp_path, content, said):
    (tmp_path / 'v.dcm').write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_dicom(tmp_path / 'v.dcm')


def test_a_file_cut_short_is_one_line(tmp_path):
    path = write(tmp_path / 'v.dcm')
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r'v\.dcm: '):
        list(read_dicom(path).frames)


@pytest.mark.parametrize(('frames', 'elements', 'said'), [
    (VOLUME, dict(PhotometricInterpretation='PALETTE COLOR'), 'its numbers are PALETTE COLOR, no gray values'),
    (VOLUME.astype(np.uint16) << 8, dict(BitsStored=12, HighBit=15), '12 bits of which the highest is number 15; expected 11'),
    (VOLUME, dict(NumberOfFrames=2), 'says that it has 2 B-scans, and holds 3'),
    (VOLUME, dict(NumberOfFrames=0), 'says that it has 1 B-scans, and holds 3'),
])  # fmt: skip
def test_numbers_that_would_be_read_wrongly_are_refused(tmp_path, frames, elements, said):
    with pytest.raises(InputError, match=said):
        read_dicom(write(tmp_path / 'a.dcm', frames, **elements))


def test_words_of_16_bits_are_scaled_by_the_bits_that_the_whole_file_uses(tmp_path):
    scan = read_dicom(write(tmp_path / 'a.dcm', VOLUME.astype(np.uint16)))
    np.testing.assert_allclose(list(scan.frames), VOLUME)
    dim = np.stack([VOLUME[0], VOLUME[1] // 100, VOLUME[2].astype(np.uint16) * 4]).astype(np.uint16)
    scan = read_dicom(write(tmp_path / 'b.dcm', dim))
    np.testing.assert_allclose(list(scan.frames), dim * (255 / 1023), rtol=1e-5)
