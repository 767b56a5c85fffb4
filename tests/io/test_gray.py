import numpy as np
import pytest

from octfluid.io.gray import whiten_filling

SCAN = np.random.default_rng(0).integers(1, 200, (40, 60), dtype=np.uint8)


def filled(value):
    scan = SCAN.copy()
    scan[:8, :30] = value
    return scan


@pytest.mark.parametrize('factor', [0.9, 0.98, 254.07 / 255, 1])
def test_filling_is_known_however_dark_it_was_made(factor):
    scan = filled(255).astype(np.float32) * factor
    found = whiten_filling(scan)
    assert (found[:8, :30] == 255).all()
    np.testing.assert_array_equal(found[8:], scan[8:])


@pytest.mark.parametrize(
    'scan', [SCAN, filled(100), np.where(np.arange(60) % 3 == 0, 230, SCAN).astype(np.uint8), np.zeros((40, 60))]
)
def test_what_is_no_filling_stays(scan):
    before = scan.copy()
    np.testing.assert_array_equal(whiten_filling(scan), before)


def test_the_scan_itself_is_not_changed():
    scan = filled(240)
    before = scan.copy()
    whiten_filling(scan)
    np.testing.assert_array_equal(scan, before)
