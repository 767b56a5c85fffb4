import numpy as np
import pytest

from octfluid.io.scan import Raster, Spacing, raster_of, spacing_from, whiten_filling
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


@pytest.mark.parametrize(('spacing', 'width', 'found'), [
    (Spacing(0.00387, 0.01133, 0.123), 768, []), (Spacing(0.03, 0.01), 768, ['a pixel 30 um high']),
    (Spacing(3.87, 11.33), 768, ['a pixel 3870 um high', 'a B-scan 8701.44 mm wide']),
    (Spacing(0.004, 0.001), 512, ['a B-scan 0.512 mm wide']), (Spacing(0.004, 0.01, 123), 512, ['B-scans 123 mm apart']),
])  # fmt: skip
def test_absurd_scales(spacing, width, found):
    doubts = spacing.doubts(width)
    assert len(doubts) == len(found) and all(doubt.startswith(start) for doubt, start in zip(doubts, found, strict=True))


@pytest.mark.parametrize('value', [0, -1.0, float('nan'), True, '1'])
def test_what_is_no_length_is_refused(value):
    with pytest.raises(InputError, match='axial spacing'):
        Spacing(value, 0.01)


SCAN = np.random.default_rng(0).integers(1, 200, (40, 60), dtype=np.uint8)


def filled(value):
    scan = SCAN.copy()
    scan[:8, :30] = value
    return scan


@pytest.mark.parametrize('factor', [0.9, 0.98, 254.07 / 255, 1])
def test_filling_is_whitened_however_dark_it_was_made(factor):
    scan = filled(255).astype(np.float32) * factor
    before = scan.copy()
    found = whiten_filling(scan)
    assert (found[:8, :30] == 255).all()
    np.testing.assert_array_equal(found[8:], before[8:])
    np.testing.assert_array_equal(scan, before)


@pytest.mark.parametrize(
    'scan', [SCAN, filled(100), np.where(np.arange(60) % 3 == 0, 230, SCAN).astype(np.uint8), np.zeros((40, 60))]
)
def test_what_is_no_filling_stays(scan):
    np.testing.assert_array_equal(whiten_filling(scan), scan)
