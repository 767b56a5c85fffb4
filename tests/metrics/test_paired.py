import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats
from scored_rows import of_dice, random_images, row

from octfluid.metrics.bootstrap import PERMUTATIONS, holm, paired
from octfluid.metrics.summary import scored


def test_a_comparison_by_hand():
    # 5 subjects, each 10 points better: only the exchanges of all and of none are as extreme, 2 of 32.
    arm, reference = scored({0: of_dice([30, 40, 50, 60, 70])}), scored({3: of_dice([20, 30, 40, 50, 60])})
    assert paired(arm, reference, replicates=200) == {
        'difference': 0.1, 'interval': [0.1, 0.1], 'p': 0.0625, 'permutations': 32, 'exact': True, 'subjects': 5, 'images': 5,
        'seeds': [1, 1],
    }  # fmt: skip
    # With a tie in one subject its exchange changes nothing: 4 of 32.
    arm = scored({0: of_dice([30, 40, 50, 60, 60])})
    assert paired(arm, reference, replicates=200)['p'] == 0.125


def test_an_undefined_side_leaves_no_difference():
    nothing = scored({0: [row(k, k, 0, 0, 0) for k in range(6)]})
    found = paired(nothing, nothing, replicates=50)
    assert (found['difference'], found['interval'], found['p']) == (None, None, None)


def test_swapping_the_sides_negates_the_difference():
    rng = np.random.default_rng(11)
    arm = random_images(rng, 7, 2)
    reference = random_images(rng, 7, 2, [image['tp'] + image['fn'] for image in arm])
    sides = scored({0: arm}), scored({0: reference})
    one, other, again = (paired(*pair, replicates=400) for pair in (sides, sides[::-1], sides))
    assert one == again
    assert one['difference'] == -other['difference'] != 0
    assert one['interval'] == [-end for end in reversed(other['interval'])]
    assert one['p'] == other['p']


@pytest.mark.parametrize('subjects', [6, 16])
def test_a_configuration_does_not_differ_from_itself(subjects):
    group = scored({0: random_images(np.random.default_rng(12), subjects, 2)})
    found = paired(group, group, replicates=100)
    assert (found['difference'], found['interval'], found['p']) == (0, [0, 0], 1)
    assert (found['permutations'], found['exact']) == ((64, True) if subjects == 6 else (PERMUTATIONS, False))


def test_both_sides_draw_the_same_subjects_and_their_own_seeds():
    # Very different patients, and two seeds 20 points apart: were subjects drawn apart, the interval would be far wider; were
    # the same seeds drawn for both sides, it would be empty. Of the 16 draws of seeds one has the best against the worst.
    patients = [10, 20, 40, 60, 80]
    group = scored({0: of_dice(patients), 1: of_dice([p + 20 for p in patients])})
    found = paired(group, group, replicates=2000)
    assert (found['difference'], found['interval'], found['p'], found['seeds']) == (0, [-0.2, 0.2], 1, [2, 2])


def exact_p(arms, references):
    """Exchange (tp, fp, fn) of subjects in all ways and compare pooled Dice exactly; counts are averages over seeds."""

    def dice(counts):
        tp, fp, fn = (sum(values) for values in zip(*counts, strict=True))
        return 2 * tp / (2 * tp + fp + fn)

    observed = abs(dice(arms) - dice(references))
    gaps = [
        abs(dice([b if s else a for a, b, s in pairs]) - dice([a if s else b for a, b, s in pairs]))
        for swap in itertools.product((0, 1), repeat=len(arms))
        for pairs in [list(zip(arms, references, swap, strict=True))]
    ]
    return Fraction(sum(gap >= observed for gap in gaps), len(gaps))


@pytest.mark.parametrize('case', range(4))
def test_p_of_the_pooled_dice_equals_that_of_all_exchanges_in_exact_numbers(case):
    rng = np.random.default_rng(case)
    first = random_images(rng, 6)
    truth = [image['tp'] + image['fn'] for image in first]
    arm = [first, random_images(rng, 6, 1, truth), random_images(rng, 6, 1, truth)]
    reference = [random_images(rng, 6, 1, truth), random_images(rng, 6, 1, truth)]

    def averages(seeds):
        mean = [[Fraction(sum(images[k][key] for images in seeds), len(seeds)) for key in ('tp', 'fp', 'fn')] for k in range(6)]
        return [tuple(counts) for counts in mean]

    found = paired(scored(dict(enumerate(arm))), scored(dict(enumerate(reference))), replicates=10)
    assert found['p'] == round(float(exact_p(averages(arm), averages(reference))), 8)
    assert found['seeds'] == [3, 2]


def test_random_exchanges_come_near_all_of_them():
    rng = np.random.default_rng(14)
    first = rng.integers(30, 90, 15)
    second = first + rng.integers(-10, 8, 15)
    exact = stats.permutation_test(
        (first, second), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type='samples', vectorized=True,
        n_resamples=np.inf, batch=4096,
    ).pvalue  # fmt: skip
    found = paired(scored({0: of_dice(first)}), scored({0: of_dice(second)}), replicates=10)
    assert (found['permutations'], found['exact']) == (PERMUTATIONS, False)
    assert 0.02 < exact < 0.9
    assert found['p'] == pytest.approx(exact, abs=0.02)


def test_holm_by_hand():
    # In ascending order 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1, which may not fall below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == [0.03, 0.06, 0.06, 0.02]
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([0.01, None, 0.02]) == [0.02, None, 0.02]
    assert holm([None]) == [None]
