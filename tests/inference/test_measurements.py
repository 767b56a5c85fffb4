import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from octfluid.inference.measurements import measure_scan, thickness, volume_mm3
from octfluid.io.scan import Spacing

MASK = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], bool)  # two pockets, one of them diagonal
PROBABILITY = np.where(MASK, 0.75, 0.25).astype(np.float32)


def test_by_hand():
    found = measure_scan(7, MASK, PROBABILITY, Spacing(0.004, 0.01))
    assert (found.index, found.height, found.width) == (7, 4, 4)
    assert (found.fluid_px, found.pockets, found.largest_pocket_px) == (4, 2, 2)
    assert found.fluid_mm2 == pytest.approx(4 * 0.004 * 0.01) and found.largest_pocket_mm2 == pytest.approx(2 * 0.004 * 0.01)
    assert found.mean_probability == 0.75


def test_without_fluid_and_without_a_scale():
    found = measure_scan(0, np.zeros((4, 4), bool), PROBABILITY, None)
    assert (found.fluid_px, found.pockets, found.largest_pocket_px) == (0, 0, 0)
    assert found.fluid_mm2 is found.largest_pocket_mm2 is found.mean_probability is None


@settings(deadline=None)
@given(arrays(bool, (9, 11)))
def test_pockets_are_those_of_another_implementation(mask):
    labels, number = label(mask, connectivity=2, return_num=True)
    found = measure_scan(0, mask, np.ones(mask.shape, np.float32), None)
    assert found.pockets == number
    assert found.largest_pocket_px == max((int((labels == one).sum()) for one in range(1, number + 1)), default=0)


def test_thickness_counts_down_each_column():
    np.testing.assert_array_equal(thickness(MASK), [1, 1, 0, 2])


@pytest.mark.parametrize(('spacing', 'expected'), [
    (Spacing(0.004, 0.01, 0.25), 30 * 0.004 * 0.01 * 0.25), (Spacing(0.004, 0.01), None), (None, None),
])  # fmt: skip
def test_volume(spacing, expected):
    assert volume_mm3([10, 0, 20], spacing) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(0, 10**6), max_size=5))
def test_volume_is_the_sum_of_areas_times_the_distance(areas):
    spacing = Spacing(0.004, 0.01, 0.25)
    total = sum(area * spacing.axial * spacing.lateral for area in areas) * spacing.slice
    assert volume_mm3(areas, spacing) == pytest.approx(total)
