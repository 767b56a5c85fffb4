import numpy as np
import pytest
from scipy import stats

from octfluid.reporting.difference import difference, mean_interval, points, points_interval


def group(values, seeds=None):
    return {'seeds': list(range(len(values))) if seeds is None else seeds, 'Dice': {'values': values}}


def test_the_paired_interval_by_hand():
    found = difference(group([0.6, 0.7, 0.8]), group([0.5, 0.5, 0.5]), 'Dice')
    # Differences 0.1, 0.2, 0.3: mean 0.2, SD 0.1, standard error 0.1 / sqrt(3); t(0.975, 2) = 4.302653.
    half = 4.302653 * 0.1 / 3**0.5
    assert found['difference'] == pytest.approx(0.2)
    assert found['interval'] == pytest.approx([0.2 - half, 0.2 + half], abs=1e-6)
    assert (found['paired'], found['n']) == (True, [3, 3])


@pytest.mark.parametrize('seeds', [[0, 1, 2, 3], [7, 8, 9, 10]])
def test_intervals_agree_with_scipy(seeds):
    draws = np.random.default_rng(0)
    first, second = draws.normal(0.7, 0.02, 4), draws.normal(0.6, 0.05, 4)
    found = difference(group(list(first)), group(list(second), seeds), 'Dice')
    paired = seeds == [0, 1, 2, 3]
    oracle = stats.ttest_rel(first, second) if paired else stats.ttest_ind(first, second, equal_var=False)
    assert found['paired'] is paired
    assert found['interval'] == pytest.approx(list(oracle.confidence_interval()), abs=1e-8)


def test_the_interval_of_a_mean():
    values = [0.49, 0.5, 0.51]
    oracle = stats.ttest_1samp(values, 0).confidence_interval()
    assert mean_interval(group(values), 'Dice') == pytest.approx(list(oracle), abs=1e-8)
    assert mean_interval(group([0.0] * 3), 'Dice') == [0, 0]
    assert mean_interval(group([0.4, 0.6]), 'Dice') is None and mean_interval(group([0.4, 0.6, None]), 'Dice') is None


def test_groups_of_different_size_are_compared_by_welch():
    first, second = [0.5, 0.6, 0.7, 0.8], [0.4, 0.42, 0.47]
    found = difference(group(first), group(second), 'Dice')
    oracle = stats.ttest_ind(first, second, equal_var=False).confidence_interval()
    assert found['interval'] == pytest.approx(list(oracle), abs=1e-8)
    assert found['n'] == [4, 3]


def test_fewer_than_three_seeds_on_a_side_give_no_interval():
    assert difference(group([0.5, 0.6]), group([0.4, 0.4]), 'Dice')['interval'] is None
    found = difference(group([0.5]), group([0.4, 0.4, 0.4]), 'Dice')
    assert (found['interval'], found['difference']) == (None, pytest.approx(0.1))


@pytest.mark.parametrize('seeds', [[0, 1, 2], [3, 4, 5]])
def test_without_spread_the_interval_is_a_point(seeds):
    assert difference(group([0.5] * 3), group([0.25] * 3, seeds), 'Dice')['interval'] == [0.25, 0.25]


def test_an_undefined_score_has_no_difference():
    assert difference(group([0.5, None, 0.5]), group([0.5] * 3), 'Dice') is None
    assert points_interval(None) == '-'


def test_points_have_a_sign_and_no_negative_zero():
    assert [points(value) for value in (0.0123, -0.5, 0.0, -0.000001, None)] == ['+1.23', '-50.00', '+0.00', '+0.00', '-']
    assert points_interval({'difference': 0.1, 'interval': [-0.05, 0.25]}) == '+10.00 [-5.00, +25.00]'
    assert points_interval({'difference': 0.1, 'interval': None}) == '+10.00'
