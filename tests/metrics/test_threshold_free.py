import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, f1_score

from octfluid.metrics.threshold_free import BINS, logit_histogram, threshold_free


def histogram(fluid=(), background=()):
    """Return counts by bin: mappings of bin to pixels."""
    return {kind: [dict(bins).get(k, 0) for k in range(BINS)] for kind, bins in (('fluid', fluid), ('background', background))}


def test_bins_by_hand():
    # Half-open bins of 0.5; outside values in the first and last bin; class 2 is fluid too; 255 does not count.
    difference = np.array([[-np.inf, -8.0, -7.5, -0.01, 0.0, 7.99, 8.0, 100.0, 3.0]], np.float32)
    truth = np.array([[0, 1, 0, 0, 1, 1, 2, 0, 255]])
    assert logit_histogram(difference, truth) == histogram({0: 1, 16: 1, 31: 2}, {0: 1, 1: 1, 15: 1, 31: 1})


def test_scores_by_hand():
    # From the top: bin 20 has 3 fluid and 1 background, bin 16 has 1 and 3, bin 10 has 6 background pixels.
    found = threshold_free([histogram({20: 2}, {20: 1, 10: 6}), histogram({20: 1, 16: 1}, {16: 3})])
    # Precision 3/4 at recall 3/4, then 4/8 at recall 1.
    assert found['average_precision'] == pytest.approx(3 / 4 * 3 / 4 + 1 / 4 * 4 / 8)
    assert found['best_dice'] == 6 / 8
    # Centres of bins 20, 16 and 10: logits 2.25, 0.25 and -2.75.
    gaps = abs(3 - 4 * expit(2.25)) + abs(1 - 4 * expit(0.25)) + 6 * expit(-2.75)
    assert found['calibration_error'] == pytest.approx(gaps / 14)


def test_what_is_undefined():
    undefined = dict(average_precision=None, best_dice=None, calibration_error=None)
    assert threshold_free([]) == threshold_free([histogram({}, {15: 4})]) == undefined


@pytest.mark.parametrize('seed', range(20))
def test_scores_equal_those_of_scikit_learn_on_binned_outputs(seed):
    rng = np.random.default_rng(seed)
    truth = (rng.random((3, 8, 9)) < 0.3).astype(int)
    difference = rng.normal(3 * truth - 1, rng.uniform(0.5, 6))
    found = threshold_free(map(logit_histogram, difference, truth))
    bins = np.clip(np.floor(2 * difference) + 16, 0, 31).astype(int).ravel()
    assert found['average_precision'] == pytest.approx(average_precision_score(truth.ravel(), bins))
    dice = [f1_score(truth.ravel(), bins >= k) for k in range(BINS)]
    assert found['best_dice'] == pytest.approx(max(dice))
