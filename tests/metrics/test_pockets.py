import numpy as np
import pytest
from scipy import ndimage

from octfluid.metrics.lesions import pocket_counts


def pockets_of(mask):
    """Collect the 8-connected sets of pixels of a mask by walking from neighbour to neighbour."""
    left, found = {(int(r), int(c)) for r, c in np.argwhere(mask)}, []
    while left:
        pocket, frontier = set(), [left.pop()]
        while frontier:
            row, column = frontier.pop()
            pocket.add((row, column))
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            frontier += near
        found.append(pocket)
    return found


def slow_counts(prediction, truth):
    def covered(pockets, other):
        return sum(sum(bool(other[pixel]) for pixel in pocket) / len(pocket) >= 0.5 for pocket in pockets)

    true, predicted = pockets_of(truth), pockets_of(prediction)
    return dict(true=len(true), found=covered(true, prediction), predicted=len(predicted), right=covered(predicted, truth))


def random_pair(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))

    def mask():
        if rng.random() < 0.5:
            return rng.random(shape) < rng.choice([0, 0.02, 0.2, 0.5, 0.9, 1])
        field = ndimage.gaussian_filter(rng.standard_normal(shape), rng.uniform(0.6, 2))
        return field > np.quantile(field, rng.uniform(0.4, 0.95))

    truth = mask()
    return np.roll(truth, 1, seed % 2) if seed % 3 == 0 else mask(), truth


@pytest.mark.parametrize('first', range(0, 200, 50))
def test_200_random_pairs_as_by_walking_through_the_pixels(first):
    found = 0
    for seed in range(first, first + 50):
        prediction, truth = random_pair(seed)
        counts = pocket_counts(prediction, truth)
        assert counts == slow_counts(prediction, truth), seed
        found += 0 < counts['found'] < counts['true'] or 0 < counts['right'] < counts['predicted']
    assert found >= 10, 'pairs where all or nothing is found would prove little'


def masks(*rows):
    """Read (prediction, truth) from lines of `p` (predicted), `t` (true), `b` (both) and `.`."""
    cells = np.array([list(row) for row in rows])
    return np.isin(cells, ['p', 'b']), np.isin(cells, ['t', 'b'])


def test_exactly_half_is_enough_and_less_is_not():
    assert pocket_counts(*masks('tb..bbtt..btt')) == dict(true=3, found=2, predicted=3, right=3)
    assert pocket_counts(*masks('pb..bbpp..bpp')) == dict(true=3, found=3, predicted=3, right=2)


def test_one_shared_pixel_is_no_find():
    assert pocket_counts(*masks('tttt', 'tttb', '...p', '...p')) == dict(true=1, found=0, predicted=1, right=0)


def test_pixels_that_touch_by_a_corner_are_one_pocket():
    assert pocket_counts(*masks('b..', '.b.', '..b')) == dict(true=1, found=1, predicted=1, right=1)
    assert pocket_counts(*masks('t.t', '...', 't.t')) == dict(true=4, found=0, predicted=0, right=0)


def test_one_blob_over_everything_finds_everything_and_is_wrong():
    truth = np.zeros((9, 9), bool)
    truth[1::4, 1::4] = True
    assert pocket_counts(np.ones((9, 9), bool), truth) == dict(true=4, found=4, predicted=1, right=0)


def test_one_pixel_in_a_pocket_is_right_and_finds_nothing():
    truth, prediction = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    prediction[2, 2] = True
    assert pocket_counts(prediction, truth) == dict(true=1, found=0, predicted=1, right=1)


def test_two_predicted_halves_find_a_pocket_and_one_predicted_pocket_finds_two():
    assert pocket_counts(*masks('bb.', 't..', 'bb.')) == dict(true=1, found=1, predicted=2, right=2)
    assert pocket_counts(*masks('bbpbb')) == dict(true=2, found=2, predicted=1, right=1)


@pytest.mark.parametrize('dtype', [bool, np.uint8, np.int64])
def test_degenerate_masks(dtype):
    empty, full, pixel = np.zeros((4, 5), dtype), np.ones((4, 5), dtype), np.zeros((4, 5), dtype)
    pixel[0, -1] = 1
    border = full.copy()
    border[1:-1, 1:-1] = 0
    assert pocket_counts(empty, empty) == dict(true=0, found=0, predicted=0, right=0)
    assert pocket_counts(full, empty) == dict(true=0, found=0, predicted=1, right=0)
    assert pocket_counts(empty, full) == dict(true=1, found=0, predicted=0, right=0)
    assert pocket_counts(full, full) == dict(true=1, found=1, predicted=1, right=1)
    assert pocket_counts(pixel, pixel) == dict(true=1, found=1, predicted=1, right=1)
    assert pocket_counts(pixel, full) == dict(true=1, found=0, predicted=1, right=1)
    assert pocket_counts(border, full) == dict(true=1, found=1, predicted=1, right=1)  # 14 of 20
    assert all(type(count) is int for count in pocket_counts(full, full).values())
