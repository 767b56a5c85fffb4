import cv2
import numpy as np
import pytest
from scipy import ndimage

from octfluid.metrics.lesions import pocket_counts


def slow_counts(prediction, truth):
    def covered(mask, other):
        pockets, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        return pockets - 1, sum(other[labels == pocket].mean() >= 0.5 for pocket in range(1, pockets))

    (true, found), (predicted, right) = covered(truth, prediction), covered(prediction, truth)
    return dict(true=true, found=found, predicted=predicted, right=right)


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


def test_random_pairs_as_with_the_components_of_opencv():
    found = 0
    for seed in range(100):
        prediction, truth = random_pair(seed)
        counts = pocket_counts(prediction, truth)
        assert counts == slow_counts(prediction, truth), seed
        found += 0 < counts['found'] < counts['true'] or 0 < counts['right'] < counts['predicted']
    assert found >= 10, 'pairs where all or nothing is found would prove little'


def masks(*rows):
    """Read (prediction, truth) from lines of `p` (predicted), `t` (true), `b` (both) and `.`."""
    cells = np.array([list(row) for row in rows])
    return np.isin(cells, ['p', 'b']), np.isin(cells, ['t', 'b'])


@pytest.mark.parametrize(('rows', 'true', 'found', 'predicted', 'right'), [
    (['tb..bbtt..btt'], 3, 2, 3, 3),  # exactly half is enough, less is not
    (['pb..bbpp..bpp'], 3, 3, 3, 2),
    (['tttt', 'tttb', '...p', '...p'], 1, 0, 1, 0),  # one shared pixel is no find
    (['b..', '.b.', '..b'], 1, 1, 1, 1),  # a corner connects
    (['t.t', '...', 't.t'], 4, 0, 0, 0),
    (['tttt', 'tttt', 'ttbt', 'tttt'], 1, 0, 1, 1),  # one pixel in a pocket is right and finds nothing
    (['bb.', 't..', 'bb.'], 1, 1, 2, 2),  # two halves find a pocket together
    (['bbpbb'], 2, 2, 1, 1),
    (['bppp', 'pppp', 'pppb'], 2, 2, 1, 0),  # one blob finds everything and is wrong
    (['...'], 0, 0, 0, 0),
    (['ppp'], 0, 0, 1, 0),
])  # fmt: skip
@pytest.mark.parametrize('dtype', [bool, np.uint8])
def test_pockets_by_hand(rows, true, found, predicted, right, dtype):
    counts = pocket_counts(*(mask.astype(dtype) for mask in masks(*rows)))
    assert counts == dict(true=true, found=found, predicted=predicted, right=right)
    assert all(type(count) is int for count in counts.values())
