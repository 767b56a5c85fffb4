import numpy as np
import pytest
from scipy import stats

from octfluid.metrics.seed_intervals import difference


def group(values, seeds=None):
    return {'seeds': list(range(len(values))) if seeds is None else seeds, 'Dice': {'values': values}}


def test_the_paired_interval_by_hand():
    found = difference(group([0.6, 0.7, 0.8]), group([0.5, 0.5, 0.5]), 'Dice')
    # Differences 0.1, 0.2, 0.3: mean 0.2, SD 0.1, standard error 0.1 / sqrt(3); t(0.975, 2) = 4.302653.
    half = 4.302653 * 0.1 / 3**0.5
    assert found['difference'] == pytest.approx(0.2)
    assert found['interval'] == pytest.approx([0.2 - half, 0.2 + half], abs=1e-6)
    assert (found['paired'], found['n']) == (True, [3, 3])


@pytest.mark.parametrize('sizes', [(4, 4), (4, 3)])
def test_other_seeds_give_welchs_interval_by_the_formula(sizes):
    draws = np.random.default_rng(0)
    first, second = draws.normal(0.7, 0.02, sizes[0]), draws.normal(0.6, 0.05, sizes[1])
    found = difference(group(list(first)), group(list(second), [7 + k for k in range(sizes[1])]), 'Dice')
    parts = [np.var(values, ddof=1) / len(values) for values in (first, second)]
    freedom = sum(parts) ** 2 / sum(part**2 / (n - 1) for part, n in zip(parts, sizes, strict=True))
    half = stats.t.ppf(0.975, freedom) * np.sqrt(sum(parts))
    middle = first.mean() - second.mean()
    assert found['paired'] is False and found['interval'] == pytest.approx([middle - half, middle + half], abs=1e-8)


def test_fewer_than_three_seeds_on_a_side_give_no_interval():
    assert difference(group([0.5, 0.6]), group([0.4, 0.4]), 'Dice')['interval'] is None
    found = difference(group([0.5]), group([0.4, 0.4, 0.4]), 'Dice')
    assert (found['interval'], found['difference']) == (None, pytest.approx(0.1))


@pytest.mark.parametrize('seeds', [[0, 1, 2], [3, 4, 5]])
@pytest.mark.filterwarnings('error')
def test_without_spread_the_interval_is_a_point(seeds):
    assert difference(group([0.5] * 3), group([0.25] * 3, seeds), 'Dice')['interval'] == [0.25, 0.25]
