import nibabel
import numpy as np
import pytest

from octfluid.io.readers import read_scans
from octfluid.io.results import write_nifti
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError

VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


def read(path):
    (scan,) = read_scans(path)
    return scan


def write(path, values=VOLUME, spacing=None, affine=None):
    write_nifti(path, values, 'octfluid: test', spacing, affine)
    return path


def save(path, values=VOLUME.T, affine=None, unit='unknown'):
    image = nibabel.Nifti1Image(values, np.eye(4) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(path)
    return path


@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz'])
@pytest.mark.parametrize(('unit', 'factor'), [('mm', 1), ('micron', 1000), ('meter', 0.001)])
def test_a_volume_with_its_scale_in_whatever_unit(tmp_path, suffix, unit, factor):
    affine = np.diag([0.012 * factor, 0.004 * factor, 0.25 * factor, 1])
    scan = read(save(tmp_path / f'v{suffix}', affine=affine, unit=unit))
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.004, 0.012, 0.25))


def test_without_a_unit_or_lengths_there_is_no_scale(tmp_path):
    scan = read(save(tmp_path / 'v.nii'))
    assert scan.spacing is None and 'in what unit' in scan.why_no_scale
    image = nibabel.load(save(tmp_path / 'w.nii', unit='mm'))
    image.header['pixdim'][1:4] = np.nan, 0.004, 0.1
    image.to_filename(tmp_path / 'v.nii')
    scan = read(tmp_path / 'v.nii')
    assert scan.spacing is None and 'no lengths' in scan.why_no_scale
    image.header['pixdim'][1:4] = 0.012, 0.004, 0.1  # while the affine says 1 mm
    image.to_filename(tmp_path / 'v.nii')
    assert read(tmp_path / 'v.nii').spacing is None


LAYERS = np.repeat(np.abs(np.sin(np.linspace(0, 9, 40)))[:, None] * 200, 50, axis=1) + VOLUME / 5
LIES = np.diag([0.004, 0.012, 0.25, 1])


@pytest.mark.parametrize(('values', 'affine', 'unit', 'hinted'), [
    (LAYERS.T, LIES[[1, 0, 2, 3]][:, [1, 0, 2, 3]], 'mm', False), (LAYERS.T, np.eye(4), 'unknown', False),
    (LAYERS.transpose(1, 2, 0), LIES, 'mm', True), (LAYERS.transpose(1, 2, 0), np.eye(4), 'unknown', True),
    (LAYERS[0], np.eye(4), 'unknown', True), (VOLUME.T, np.eye(4), 'unknown', False), (VOLUME.T, LIES, 'mm', True),
])  # fmt: skip
def test_a_first_axis_that_is_depth_is_hinted_at(tmp_path, values, affine, unit, hinted):
    assert bool(read(save(tmp_path / 'v.nii', values.astype(np.uint8), affine, unit)).notes) is hinted


@pytest.mark.parametrize('spacing', [Spacing(0.004, 0.012, 0.25), Spacing(0.004, 0.012), None])
def test_what_is_written_is_read(tmp_path, spacing):
    scan = read(write(tmp_path / 'v.nii.gz', spacing=spacing))
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    if spacing and spacing.slice:
        assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.004, 0.012, 0.25))
    else:
        assert scan.spacing is None
    image = nibabel.load(tmp_path / 'v.nii.gz')
    assert image.header['descrip'] == b'octfluid: test' and image.shape == VOLUME.shape[::-1]
    np.testing.assert_allclose(np.diag(image.affine)[:3], image.header.get_zooms(), rtol=1e-6)


@pytest.mark.parametrize(('values', 'named'), [
    (np.zeros((5, 4, 2), np.uint8), '4x5 pixels'), (np.zeros((50, 40, 2, 3), np.uint8), r'\(50, 40, 2, 3\)'),
    (np.zeros((50, 40, 2), np.complex64), 'complex64'),
])  # fmt: skip
def test_what_are_no_b_scans_is_one_line(tmp_path, values, named):
    with pytest.raises(InputError, match=named):
        read(save(tmp_path / 'v.nii', values))
