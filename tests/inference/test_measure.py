import numpy as np
import pytest
from eyepy.core.grids import grid

from octfluid.inference.measure import SECTORS, Settings, measure_scan, sector_volumes
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError

MASK = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], bool)  # two pockets, one of them diagonal
PROBABILITY = np.where(MASK, 0.75, 0.25).astype(np.float32)
FINE = Spacing(0.004, 0.02, 0.02)


def test_measurements_by_hand():
    found = measure_scan(7, MASK, PROBABILITY, Spacing(0.004, 0.01))
    assert (found.index, found.height, found.width) == (7, 4, 4)
    assert (found.fluid_px, found.pockets, found.largest_pocket_px) == (4, 2, 2)
    assert found.fluid_mm2 == pytest.approx(4 * 0.004 * 0.01) and found.largest_pocket_mm2 == pytest.approx(2 * 0.004 * 0.01)
    assert found.mean_probability == 0.75
    blank = measure_scan(0, np.zeros((4, 4), bool), PROBABILITY, None)
    assert blank.fluid_px == 0 and blank.fluid_mm2 is blank.largest_pocket_mm2 is blank.mean_probability is None


def volumes(thickness_px, fovea, laterality='OD', bottom_up=True):
    found = sector_volumes(thickness_px, FINE, fovea, laterality, bottom_up)
    return {one.sector: one.fluid_mm3 for one in found}, {one.sector: one.covered for one in found}


def test_a_whole_grid_has_the_areas_of_its_circles():
    fluid, covered = volumes(np.ones((321, 321)), (160, 160))
    assert list(fluid) == list(SECTORS)
    assert fluid['C'] == pytest.approx(np.pi * 0.25 * 0.004, rel=0.02)
    assert fluid['N1'] == pytest.approx(np.pi * (2.25 - 0.25) / 4 * 0.004, rel=0.02)
    assert fluid['I2'] == pytest.approx(np.pi * (9 - 2.25) / 4 * 0.004, rel=0.02)
    assert min(covered.values()) > 0.97


@pytest.mark.parametrize(('offset', 'laterality', 'bottom_up', 'sector'), [
    ((0, 50), 'OD', True, 'N1'), ((0, 50), 'OS', True, 'T1'), ((50, 0), 'OD', True, 'S1'), ((50, 0), 'OD', False, 'I1'),
])  # fmt: skip
def test_side_and_direction_of_the_eye(offset, laterality, bottom_up, sector):
    thickness_px = np.zeros((321, 321))
    thickness_px[160 + offset[0], 160 + offset[1]] = 5
    assert [name for name, value in volumes(thickness_px, (160, 160), laterality, bottom_up)[0].items() if value] == [sector]


@pytest.mark.parametrize('laterality', ['OD', 'OS'])
def test_sectors_are_those_of_eyepys_grid(laterality):
    side = 400
    thickness_px = np.random.default_rng(0).integers(0, 60, (side, side)).astype(float)
    fluid, _ = volumes(thickness_px, ((side - 1) / 2, (side - 1) / 2), laterality, bottom_up=False)
    # eyepy begins each ring at the nasal side and goes up.
    masks = grid((side, side), [0.5, 1.5, 3.0], laterality, n_sectors=[1, 4, 4], rotation=[0, 45, 45], radii_scale=0.02)
    order = ['C', *(name + ring for ring in '12' for name in ('S', 'T', 'I', 'N'))]
    for name, mask in zip(order, masks.values(), strict=True):
        theirs = float((mask * thickness_px).sum()) * 0.004 * 0.02 * 0.02
        assert fluid[name] == pytest.approx(theirs, rel=0.05), name


@pytest.mark.parametrize('values', [
    dict(threshold=0), dict(threshold=1.0), dict(threshold=float('nan')), dict(fovea=(1, 2), macula_centred=True),
    dict(laterality='R'),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused_by_name(values):
    with pytest.raises(InputError, match=next(iter(values))):
        Settings(**values)
