import numpy as np
import pytest
from eyepy.core.grids import grid

from octfluid.inference.etdrs import SECTORS, sector_volumes, sectors_of
from octfluid.io.scan import Spacing

FINE = Spacing(0.004, 0.02, 0.02)


def volumes(thickness, fovea, laterality='OD', bottom_up=True, spacing=FINE):
    found = sector_volumes(thickness, spacing, fovea, laterality, bottom_up)
    return {one.sector: one.fluid_mm3 for one in found}, {one.sector: one.covered for one in found}


@pytest.mark.parametrize(('up', 'nasal', 'sector'), [
    (0, 0, 'C'), (0.4, 0.2, 'C'), (1, 0, 'S1'), (-1, 0.2, 'I1'), (0.2, 1, 'N1'), (0.2, -1, 'T1'), (2, 1, "S2"), (-2, 1, "I2"),
    (1, 2, 'N2'), (1, -2, 'T2'), (3, 1, ''), (0, -3.01, ''),
])  # fmt: skip
def test_points_by_hand(up, nasal, sector):
    assert sectors_of(np.array([float(up)]), np.array([float(nasal)]))[0] == sector


def test_a_whole_grid_has_the_areas_of_its_circles():
    one = np.ones((321, 321))
    fluid, covered = volumes(one, (160, 160))
    assert list(fluid) == list(SECTORS)
    assert fluid['C'] == pytest.approx(np.pi * 0.25 * 0.004, rel=0.02)
    for ring, (outer, inner) in {'1': (1.5, 0.5), '2': (3.0, 1.5)}.items():
        for side in 'SNIT':
            assert fluid[side + ring] == pytest.approx(np.pi * (outer**2 - inner**2) / 4 * 0.004, rel=0.02)
    assert min(covered.values()) > 0.98


@pytest.mark.parametrize(('laterality', 'bottom_up', 'expected'), [
    ('OD', True, 'N1'), ('OS', True, 'T1'), ('OD', False, 'N1'), ('OS', False, 'T1'),
])  # fmt: skip
def test_nasal_is_to_the_right_of_a_right_eye(laterality, bottom_up, expected):
    thickness = np.zeros((321, 321))
    thickness[160, 160 + 50] = 5  # 1 mm to the right
    fluid, _ = volumes(thickness, (160, 160), laterality, bottom_up)
    assert [name for name, value in fluid.items() if value] == [expected]
    assert fluid[expected] == pytest.approx(5 * 0.004 * 0.02 * 0.02)


@pytest.mark.parametrize(('bottom_up', 'expected'), [(True, 'S1'), (False, 'I1')])
def test_later_b_scans_are_higher_where_the_first_is_the_lowest(bottom_up, expected):
    thickness = np.zeros((321, 321))
    thickness[160 + 50, 160] = 5
    assert [name for name, value in volumes(thickness, (160, 160), 'OD', bottom_up)[0].items() if value] == [expected]


def test_what_the_scan_does_not_cover_is_said():
    _, covered = volumes(np.ones((100, 321)), (0, 160))
    assert covered['I1'] < 0.05 and covered['S1'] > 0.95 and 0.45 < covered['C'] < 0.55
    assert covered['S2'] < 0.6


@pytest.mark.parametrize('laterality', ['OD', 'OS'])
def test_sectors_are_those_of_eyepys_grid(laterality):
    side = 400
    thickness = np.random.default_rng(0).integers(0, 60, (side, side)).astype(float)
    fluid, _ = volumes(thickness, ((side - 1) / 2, (side - 1) / 2), laterality, bottom_up=False)
    # Of each ring, eyepy begins at the nasal side and goes up: nasal, superior, temporal, inferior.
    masks = grid((side, side), [0.5, 1.5, 3.0], laterality, n_sectors=[1, 4, 4], rotation=[0, 45, 45], radii_scale=0.02)
    order = ['C', *(name + ring for ring in '12' for name in ('S', 'T', 'I', 'N'))]
    for name, mask in zip(order, masks.values(), strict=True):
        theirs = float((mask * thickness).sum()) * 0.004 * 0.02 * 0.02
        assert fluid[name] == pytest.approx(theirs, rel=0.05), name
