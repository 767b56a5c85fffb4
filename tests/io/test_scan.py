import cv2
import dicom_files
import nibabel
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.datasets.prepare.folder import read_scan
from octfluid.io import images
from octfluid.io.readers import read_scans
from octfluid.io.scan import Raster, Spacing, raster_of, spacing_from, to_gray, whiten_filling
from octfluid.utils.errors import InputError


@pytest.mark.parametrize(('lengths', 'expected'), [
    ((0.004, 0.01, 0.2), Spacing(0.004, 0.01, 0.2)), ((0.004, 0.01), Spacing(0.004, 0.01)),
    ((0.004, 0.01, 0.0), Spacing(0.004, 0.01)),
    ((None, 0.01), None), ((0.004, float('nan')), None), ((-1.0, 0.01), None),
    ((0.004, 0.01, float('inf')), Spacing(0.004, 0.01)),
])  # fmt: skip
def test_lengths_that_are_none_are_no_scale(lengths, expected):
    assert spacing_from(*lengths) == expected


@pytest.mark.parametrize(('starts', 'ends', 'expected'), [
    ([(0, 0), (0, 1), (0, 2)], [(5, 0), (5, 1), (5, 2)], Raster(1.0, True, False)),
    ([(0, 2), (0, 1), (0, 0)], [(5, 2), (5, 1), (5, 0)], Raster(1.0, True, True)),
    ([(0, 0), (1, 0), (2, 0)], [(0, 5), (1, 5), (2, 5)], Raster(1.0, False, None)),
    ([(0, 0), (0.3, 1), (0.6, 2)], [(5, 0), (5.3, 1), (5.6, 2)], Raster(1.0, True, False)),  # at a right angle
    ([(0, 0), None, (0, 2)], [(5, 0), (5, 1), (5, 2)], Raster()),
    ([(0, 0)], [(5, 0)], Raster()), ([(1, 1), (1, 1)], [(5, 1), (5, 1)], Raster(None, True, None)),
    ([(0, 0), (0, float('nan'))], None, Raster()),
    ([(0, 0, 0), (3, 4, 0), (6, 8, 0)], None, Raster(5.0)), ([(0, 0, 0), (0, 3, 0), (0, 4, 0)], None, Raster()),
])  # fmt: skip
def test_how_b_scans_lie(starts, ends, expected):
    found = raster_of(starts, ends)
    assert (found.horizontal, found.bottom_up) == (expected.horizontal, expected.bottom_up)
    assert found.distance == (None if expected.distance is None else pytest.approx(expected.distance))


@pytest.mark.parametrize(('spacing', 'shape', 'whole', 'found'), [
    (Spacing(0.00387, 0.01133, 0.123), (496, 768), True, []), (Spacing(0.03, 0.01), (496, 768), True, ['a pixel 30 um high']),
    (Spacing(3.87, 11.33), (496, 768), False, ['a pixel 3870 um high', 'a B-scan 8701.44 mm wide']),
    (Spacing(0.004, 0.001), (496, 512), False, ['a B-scan 0.512 mm wide']),
    (Spacing(0.004, 0.01, 123), (496, 512), True, ['B-scans 123 mm apart']),
    (Spacing(0.002, 0.002), (1024, 1024), True, ['a B-scan 2.048 mm wide']), (Spacing(0.002, 0.002), (1024, 1024), False, []),
    (Spacing(0.002, 0.002), (400, 400), True, ['a B-scan 0.8 mm deep', 'a B-scan 0.8 mm wide']),
    (Spacing(0.01, 0.03), (500, 600), True, ['a B-scan 5 mm deep', 'a B-scan 18 mm wide']),
    # 3 mm in 512 columns, rounded to six digits; a wide field of 16 mm; the largest depth.
    (Spacing(0.0039, 0.005859), (992, 512), True, []), (Spacing(0.004, 0.0156), (1000, 1024), True, []),
])  # fmt: skip
def test_absurd_scales(spacing, shape, whole, found):
    doubts = spacing.doubts(*shape, whole)
    assert len(doubts) == len(found) and all(doubt.startswith(start) for doubt, start in zip(doubts, found, strict=True))


@pytest.mark.parametrize('value', [0, -1.0, float('nan'), True, '1'])
def test_what_is_no_length_is_refused(value):
    with pytest.raises(InputError, match='axial spacing'):
        Spacing(value, 0.01)


SCAN = make_phantom(3, 96, 128, fluid=True)[0]
SCAN[SCAN > 240] = 240
cv2.fillPoly(SCAN, [np.array([[0, 60], [0, 95], [127, 95], [127, 90]])], 255)
WEDGE = SCAN == 255
KINDS = dict(  # of files: suffix, dtype, how to write (H, W) values
    png=('.png', np.uint16, lambda path, values: Image.fromarray(values).save(path)),
    words=('.tif', np.uint16, lambda path, values: Image.fromarray(values).save(path)),
    longs=('.tif', np.int32, lambda path, values: Image.fromarray(values).save(path)),
    floats=('.tif', np.float32, lambda path, values: Image.fromarray(values).save(path)),
    dicom=('.dcm', np.uint16, lambda path, values: dicom_files.write(path, values[None])),
    nifti=('.nii.gz', np.float64, lambda path, values: nibabel.Nifti1Image(values.T, np.eye(4)).to_filename(path)),
    mat=('.mat', np.float64, lambda path, values: savemat(path, {'images': values[:, :, None]})),
)  # fmt: skip


@pytest.mark.parametrize('top', [100, 300, 511, 2047, 8191, 16383, 30000, 32767, 65535])
@pytest.mark.parametrize('kind', KINDS)
def test_any_scaling_gives_the_same_gray_values_for_prediction_and_training(tmp_path, kind, top):
    suffix, dtype, write = KINDS[kind]
    path = tmp_path / f'b{suffix}'
    write(path, np.rint(SCAN * (top / 255)).astype(dtype))
    seen = whiten_filling(read_scans(path)[0].frames[0])
    # Half a step of 0..100 is 1.3 gray values; steps of 0..300 are finer than gray values.
    np.testing.assert_allclose(seen, SCAN, rtol=0, atol=2 if top == 100 else 0)
    if path.suffix in images.SUFFIXES:
        np.testing.assert_array_equal(read_scan(path), seen)


@pytest.mark.parametrize('factor', [1e-3, 1 / 255, 0.7, 1e6])
def test_floating_values_of_any_scale_and_a_broken_pixel_that_does_not_darken_the_others(factor):
    values = SCAN * factor
    values[5, 7] = 1e5 * factor
    assert np.argwhere(whiten_filling(to_gray([values], 'here')[0]) != SCAN).tolist() == [[5, 7]]


@pytest.mark.parametrize('top', [50, 100, 230, 254])
def test_darker_filling_of_bytes_becomes_white_with_the_scan(top):
    dark = np.rint(SCAN * (top / 255)).astype(np.uint8)
    seen = whiten_filling(dark)
    np.testing.assert_array_equal(seen == 255, WEDGE)
    np.testing.assert_allclose(seen, SCAN, rtol=0, atol=0.5 * 255 / top + 0.5)


@pytest.mark.parametrize(('quality', 'top'), [(75, 255), (90, 255), (95, 255), (90, 230)])
def test_jpeg_noise_around_white_is_white(tmp_path, quality, top):
    Image.fromarray(np.rint(SCAN * (top / 255)).astype(np.uint8)).save(tmp_path / 'b.jpg', quality=quality)
    coded = np.asarray(Image.open(tmp_path / 'b.jpg'))
    seen = whiten_filling(read_scans(tmp_path / 'b.jpg')[0].frames[0])
    assert (coded[WEDGE] != top).mean() > 0.05 and (seen[WEDGE] == 255).mean() > 0.99
    away = cv2.dilate(WEDGE.astype(np.uint8), np.ones((9, 9))) == 0
    np.testing.assert_allclose(seen[away], coded[away] * (255 / top), rtol=0, atol=1.5)


NOISE = np.random.default_rng(0).integers(1, 200, (40, 60), dtype=np.uint8)


@pytest.mark.parametrize('scan', [
    SCAN, np.asarray(Image.fromarray(SCAN).resize((100, 70))), NOISE, np.zeros_like(NOISE), np.full_like(NOISE, 9),
    np.where(np.arange(60) < 30, 100, NOISE).astype(np.uint8), np.where(np.arange(60) % 3 == 0, 230, NOISE).astype(np.uint8),
], ids=['white', 'resized', 'none', 'black', 'even', 'gray', 'thin'])  # fmt: skip
def test_bytes_without_darker_filling_stay_as_they_are(scan):
    np.testing.assert_array_equal(whiten_filling(scan), scan)
