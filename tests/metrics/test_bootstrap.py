import itertools

import numpy as np
import pytest
from scored_rows import of_dice, random_images, row

from octfluid.metrics.bootstrap import estimates
from octfluid.metrics.confusion import pooled_metrics
from octfluid.metrics.summary import MEASURES, scored


def scores(images):
    """Score some images once more, without the code under test."""
    truth = np.array([image['tp'] + image['fn'] for image in images])
    area = np.array([image['tp'] + image['fp'] for image in images])
    pooled = pooled_metrics(images)
    own = [pooled_metrics([image])['Dice.fluid'] for image in images if image['tp'] + image['fn']]
    return {
        'dice': pooled['Dice.fluid'],
        'miou': pooled['mIoU'],
        'image_dice': np.mean(own) if own else None,
        'area_bias_px': np.mean(area - truth),
        'area_limit_high_px': np.mean(area - truth) + 1.96 * np.std(area - truth, ddof=1),
    }


def test_a_value_is_the_mean_over_seeds_of_each_seed():
    found = estimates(scored({0: of_dice([50, 70]), 1: of_dice([80, 100])}), replicates=10)
    assert list(found) == list(MEASURES)
    assert found['dice'] == {'value': 0.75, 'interval': None, 'images': 2}
    # Dice 0.6 and, with nothing falsely predicted, 240 / 320; of the counts of both seeds it would be 480 / 720.
    better = [{**image, 'fp': 0, 'tn': 5000} for image in of_dice([50, 70])]
    assert estimates(scored({0: of_dice([50, 70]), 1: better}), replicates=10)['dice']['value'] == 0.675


def test_a_measure_undefined_for_any_seed_is_none():
    nothing = [row(k, k, 0, 0, 100) for k in range(6)]
    found = estimates(scored({0: of_dice([50] * 6), 1: nothing}), replicates=50)
    undefined = ('precision', 'surface_dice_1px', 'hd95_px', 'pocket_sensitivity', 'false_positive_rate')
    assert all(found[name] == {'value': None, 'interval': None, 'images': 0} for name in undefined)
    assert found['recall']['value'] == 0.25


def test_the_images_that_a_measure_rests_on():
    def extra(distance):
        pockets = dict(true=1, found=1, predicted=1, right=1)
        return dict(surface_dice_1px=1.0, surface_dice_2px=1.0, hd95_px=distance, pockets=pockets)

    first = [row(0, 0, 9, 0, 1, extra=extra(1.0)), row(1, 1, 9, 0, 1, extra=extra(3.0)), row(2, 2, 0, 5, 0, extra=extra(None))]
    second = [first[0], {**first[1], 'extra': extra(None)}, first[2]]
    found = estimates(scored({0: first, 1: second}), replicates=5)
    images = {name: entry['images'] for name, entry in found.items() if entry['images'] != 3}
    assert images == {
        'image_dice': 2, 'surface_dice_1px': 2, 'surface_dice_2px': 2, 'hd95_px': 1, 'false_positive_rate': 1,
        'false_positive_px': 1,
    }  # fmt: skip
    assert found['hd95_px']['value'] == 1.5


def test_an_interval_needs_five_known_subjects_that_have_what_is_measured_in_every_seed():
    def interval(name, *seeds):
        return estimates(scored(dict(enumerate(seeds))), replicates=50)[name]['interval']

    def found_on(k):
        return [row(i, i, 50, 50, 50, extra={'hd95_px': 2.0 if i < k else None}) for i in range(9)]

    images = [*of_dice([10, 30, 50, 70]), row(9, 9, 0, 20, 0)]
    assert interval('dice', images[:4]) is None and len(interval('dice', images)) == 2
    assert interval('image_dice', images) is None and len(interval('image_dice', [*images, row(10, 10, 5, 0, 5)])) == 2
    assert interval('hd95_px', found_on(6), found_on(5)) == [2, 2] and interval('hd95_px', found_on(6), found_on(4)) is None
    assert interval('dice', of_dice([10, 30, 50, 70, 80, 90], [1, 2, 3, 4, 5, None])) is None


def test_the_same_call_gives_the_same_numbers():
    group = scored({0: random_images(np.random.default_rng(0), 9, 2)})
    expected = estimates(group, replicates=105)
    assert estimates(group, replicates=105, seed=1) != expected
    assert estimates(group, replicates=105) == expected


def test_the_interval_is_that_of_all_possible_draws_of_subjects_and_seeds():
    rng = np.random.default_rng(4)
    seeds = [random_images(rng, 5)]
    seeds.append(random_images(rng, 5, 1, [image['tp'] + image['fn'] for image in seeds[0]]))
    draws = list(itertools.product(range(5), repeat=5))
    by_seed = [[scores([images[subject] for subject in draw]) for draw in draws] for images in seeds]
    found = estimates(scored(dict(enumerate(seeds))), replicates=20_000)
    for name in by_seed[0][0]:
        first, second = (np.array([score[name] for score in one]) for one in by_seed)
        both = (first + second) / 2
        exact = np.percentile(np.concatenate([first, second, both, both]), [2.5, 97.5])
        assert found[name]['interval'] == pytest.approx(exact, abs=0.03 * (exact[1] - exact[0])), name


def test_replicates_without_a_value_are_left_out_up_to_one_in_twenty():
    # Predicted fluid on k of 9 patients: a draw without any of them, so without a precision, has probability (1 - k / 9)**9.
    def precision_interval(k):
        images = [row(i, i, 50 * (i < k), 0, 50 + 50 * (i >= k)) for i in range(9)]
        return estimates(scored({0: images}))['precision']['interval']

    assert precision_interval(2) is None  # 0.104
    assert precision_interval(3) == [1, 1]  # 0.026
