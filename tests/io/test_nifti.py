import gzip

import nibabel
import numpy as np
import pytest

from octfluid.io.nifti import read_nifti
from octfluid.io.results import NiftiWriter
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError

VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
@pytest.mark.parametrize(('unit', 'factor'), [('mm', 1), ('micron', 1000), ('meter', 0.001)])
def test_a_volume_with_its_scale_in_whatever_unit(tmp_path, suffix, unit, factor):
    image = nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.diag([0.012 * factor, 0.004 * factor, 0.25 * factor, 1]))
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / f'v{suffix}')
    scan = read_nifti(tmp_path / f'v{suffix}')
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.004, 0.012, 0.25))


def test_without_a_unit_there_is_no_scale(tmp_path):
    nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4)).to_filename(tmp_path / 'v.nii')
    scan = read_nifti(tmp_path / 'v.nii')
    assert scan.spacing is None and 'does not say in what unit' in scan.why_no_scale and not scan.notes


def test_one_b_scan_and_fractions(tmp_path):
    image = nibabel.Nifti1Image((VOLUME[0].T / 255).astype(np.float32), np.eye(4))
    image.to_filename(tmp_path / 'b.nii.gz')
    scan = read_nifti(tmp_path / 'b.nii.gz')
    assert not scan.is_volume and len(scan.frames) == 1
    np.testing.assert_allclose(scan.frames[0], VOLUME[0], atol=1e-3)


@pytest.mark.parametrize('spacing', [Spacing(0.004, 0.012, 0.25), Spacing(0.004, 0.012), None])
def test_what_is_written_is_read(tmp_path, spacing):
    writer = NiftiWriter(tmp_path / 'v.nii.gz', VOLUME.shape, np.dtype(np.uint8), spacing, 'octfluid: test')
    for bscan in VOLUME:
        writer.add(bscan)
    writer.close()
    scan = read_nifti(tmp_path / 'v.nii.gz')
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    if spacing and spacing.slice:
        assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.004, 0.012, 0.25))
    else:
        assert scan.spacing is None
    image = nibabel.load(tmp_path / 'v.nii.gz')
    assert image.header['descrip'] == b'octfluid: test' and image.shape == VOLUME.shape[::-1]
    np.testing.assert_allclose(np.diag(image.affine)[:3], image.header.get_zooms(), rtol=1e-6)


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'not a NIfTI file'), (gzip.compress(b'a letter'), 'not a NIfTI file'), (b'a letter' * 100, 'not a NIfTI file'),
])  # fmt: skip
def test_other_files_are_one_line(tmp_path, content, said):
    (tmp_path / 'v.nii.gz').write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        read_nifti(tmp_path / 'v.nii.gz')
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize(('values', 'said'), [
    (np.full((50, 40, 2), np.nan, np.float32), 'NaN or infinite'), (np.zeros((5, 4, 2), np.uint8), '4x5 pixels'),
    (np.zeros((50, 40, 2, 3), np.uint8), 'expected \\(lateral, axial, slice\\)'),
    (np.zeros((50, 40, 2), np.complex64), 'complex64 values'), (np.full((50, 40, 2), -5, np.int16), 'values down to -5'),
])  # fmt: skip
def test_what_are_no_b_scans_is_one_line(tmp_path, values, said):
    nibabel.Nifti1Image(values, np.eye(4)).to_filename(tmp_path / 'v.nii')
    with pytest.raises(InputError, match=said):
        read_nifti(tmp_path / 'v.nii')


def test_a_file_cut_short_is_one_line(tmp_path):
    nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4)).to_filename(tmp_path / 'v.nii')
    (tmp_path / 'v.nii').write_bytes((tmp_path / 'v.nii').read_bytes()[:-1000])
    with pytest.raises(InputError, match='cut short'):
        read_nifti(tmp_path / 'v.nii')


def test_probabilities_are_written_as_they_are(tmp_path):
    values = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    writer = NiftiWriter(tmp_path / 'p.nii.gz', values.shape, np.dtype(np.float32), None, 'p')
    for bscan in values:
        writer.add(bscan)
    writer.close()
    np.testing.assert_array_equal(np.asarray(nibabel.load(tmp_path / 'p.nii.gz').dataobj).transpose(2, 1, 0), values)


def test_the_same_masks_give_the_same_file_at_any_time(tmp_path, monkeypatch):
    contents = []
    for moment in (1e9, 2e9):
        monkeypatch.setattr('time.time', lambda moment=moment: moment)
        writer = NiftiWriter(tmp_path / 'm.nii.gz', VOLUME.shape, np.dtype(np.uint8), None, 'm')
        for bscan in VOLUME:
            writer.add(bscan)
        writer.close()
        contents.append((tmp_path / 'm.nii.gz').read_bytes())
    assert contents[0] == contents[1]


def test_a_file_that_swells_is_refused_before_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr('octfluid.io.unpacked.ALWAYS_GOOD', 1000)
    nibabel.Nifti1Image(np.zeros((50, 40, 300), np.uint8), np.eye(4)).to_filename(tmp_path / 'v.nii.gz')
    monkeypatch.setattr('nibabel.load', None)
    with pytest.raises(InputError, match=r'v\.nii\.gz: comes to [01] MB or more'):
        read_nifti(tmp_path / 'v.nii.gz')


def test_a_header_that_says_more_than_there_is(tmp_path):
    nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4)).to_filename(tmp_path / 'v.nii')
    content = bytearray((tmp_path / 'v.nii').read_bytes())
    content[40:56] = np.array([3, 4096, 4096, 9999, 1, 1, 1, 1], '<i2').tobytes()
    (tmp_path / 'v.nii').write_bytes(content)
    with pytest.raises(InputError, match='for which it is too short'):
        read_nifti(tmp_path / 'v.nii')


def test_an_affine_and_the_sizes_of_voxels_agree(tmp_path):
    affine = np.diag([0.012, 0.004, 0.12, 1.0])
    writer = NiftiWriter(tmp_path / 'm.nii.gz', VOLUME.shape, np.dtype(np.uint8), None, 'm', affine)
    for bscan in VOLUME:
        writer.add(bscan)
    writer.close()
    image = nibabel.load(tmp_path / 'm.nii.gz')
    np.testing.assert_allclose(image.affine, affine, rtol=1e-6)
    assert image.header.get_zooms() == pytest.approx((0.012, 0.004, 0.12)) and image.header.get_xyzt_units()[0] == 'unknown'


def test_distances_that_are_no_lengths_are_not_taken_for_a_missing_unit(tmp_path):
    image = nibabel.Nifti1Image(VOLUME.transpose(2, 1, 0), np.eye(4))
    image.header.set_xyzt_units('mm')
    image.header['pixdim'][1:4] = np.nan, 0.004, 0.1
    image.to_filename(tmp_path / 'v.nii')
    scan = read_nifti(tmp_path / 'v.nii')
    assert scan.spacing is None and scan.why_no_scale == 'the distances in its NIfTI header are no lengths'
