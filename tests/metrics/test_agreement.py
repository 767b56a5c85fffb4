import numpy as np
import pytest
from octfluid.metrics.agreement import AREA_SUMS, area_features, bias, bland_altman, correlation, limit, pixel_mm2, ratio
from scipy import stats

from octfluid.reporting.same_images import scored


def sums_of(true, predicted, centre=0):
    return {key: values.sum() for key, values in area_features(np.asarray(true), np.asarray(predicted), centre).items()}


def image(name, true, predicted):
    """Return a row with areas in px; how they overlap is of no matter here."""
    tp = min(true, predicted)
    return dict(
        name=name, subject=1, height=100, width=100, tp=tp, fp=predicted - tp, fn=true - tp, tn=9000 - predicted + tp, extra={}
    )


def test_ratio_is_nan_over_zero():
    np.testing.assert_array_equal(ratio(np.array([1, 0, 3]), np.array([2, 0, 0])), [0.5, np.nan, np.nan])


def test_bias_and_limits_by_hand():
    # Differences -2, 0, 5: mean 1, variance (9 + 1 + 16) / 2 = 13.
    sums = sums_of([10, 20, 30], [8, 20, 35])
    assert set(sums) == set(AREA_SUMS)
    assert float(bias(sums)) == 1
    assert float(limit(sums, -1)) == pytest.approx(1 - 1.96 * 13**0.5)
    assert float(limit(sums, 1)) == pytest.approx(1 + 1.96 * 13**0.5)


def test_correlation_by_hand():
    # Deviations (-1, 0, 1) and (-1, 2, -1) have product 0; (-1, 0, 1) and (-1, -1, 2) have 3 / sqrt(2 * 6).
    assert float(correlation(sums_of([1, 2, 3], [0, 3, 0]))) == 0
    assert float(correlation(sums_of([1, 2, 3], [0, 0, 3]))) == pytest.approx(3 / 12**0.5)
    assert float(correlation(sums_of([1, 2, 3], [6, 4, 2]))) == pytest.approx(-1)


@pytest.mark.parametrize(('true', 'predicted'), [([0, 0, 0], [1, 2, 3]), ([1, 2, 3], [0, 0, 0]), ([5, 5], [5, 5]), ([4], [9])])
def test_correlation_is_undefined_where_an_area_never_changes(true, predicted):
    assert np.isnan(correlation(sums_of(true, predicted)))


def test_limits_need_two_images():
    assert float(bias(sums_of([4], [9]))) == 5
    assert np.isnan(limit(sums_of([4], [9]), 1))


def test_agreement_equals_numpy_and_scipy_on_random_areas_of_photographs():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(2, 30))
        true, predicted = rng.integers(0, 8_000_000, (2, n))
        sums = sums_of(true, predicted, round(true.mean()))
        gaps = predicted - true
        assert float(bias(sums)) == pytest.approx(gaps.mean())
        for sign in (-1, 1):
            assert float(limit(sums, sign)) == pytest.approx(gaps.mean() + sign * 1.96 * gaps.std(ddof=1), abs=1e-3)
        assert float(correlation(sums)) == pytest.approx(stats.pearsonr(true, predicted).statistic, abs=1e-9)


def test_what_a_bland_altman_plot_shows_is_averaged_over_seeds():
    first = [image('a', 10, 8), image('b', 20, 20), image('c', 30, 35)]
    second = [image('a', 10, 11), image('b', 20, 21), image('c', 30, 31)]
    half = 1.96 * 13**0.5 / 2  # the second seed is 1 px off everywhere: bias 1, no spread
    assert bland_altman(scored({0: first, 1: second})) == {
        'true': [10, 20, 30],
        'predicted': [9.5, 20.5, 33.0],
        'bias': 1.0,
        'low': round(1 - half, 8),
        'high': round(1 + half, 8),
    }


def test_a_single_image_has_a_bias_and_no_limits():
    assert bland_altman(scored({0: [image('a', 4, 9)]})) == {
        'true': [4], 'predicted': [9.0], 'bias': 5.0, 'low': None, 'high': None,
    }  # fmt: skip


def test_area_of_a_pixel_at_the_duke_scale():
    native = 0.00387 * 0.01133
    assert pixel_mm2(['s01_z10', 's10_z35'], 496, 768) == pytest.approx(native, rel=1e-12)
    assert pixel_mm2(['s01_z10'], 256, 256) == pytest.approx(native * 5.8125, rel=1e-12)
    # The scan's area, 1.91952 x 8.70144 mm, whatever the number of pixels.
    assert pixel_mm2(['s01_z10'], 100, 10) * 1000 == pytest.approx(1.91952 * 8.70144)


@pytest.mark.parametrize('names', [['s01_z11'], ['s01_z10', '01_h'], ['p01_z00'], []])
def test_other_images_have_no_known_pixel(names):
    assert pixel_mm2(names, 256, 256) is None
