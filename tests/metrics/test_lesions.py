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


def test_random_pairs_as_with_the_components_of_opencv():
    rng = np.random.default_rng(0)
    partly = 0
    for _ in range(40):
        fields = ndimage.gaussian_filter(rng.standard_normal((3, 29, 23)), (0, 1, 1))
        prediction, truth = (fields[0] + 0.4 * field > rng.uniform(-0.1, 0.4) for field in fields[1:])
        counts = pocket_counts(prediction, truth)
        assert counts == slow_counts(prediction, truth)
        partly += 0 < counts['found'] < counts['true'] or 0 < counts['right'] < counts['predicted']
    assert partly >= 10, 'pairs where all or nothing is found would prove little'


@pytest.mark.parametrize(('rows', 'true', 'found', 'predicted', 'right'), [
    (['tb..bbtt..btt'], 3, 2, 3, 3),  # exactly half is enough, less is not
    (['pb..bbpp..bpp'], 3, 3, 3, 2),
    (['tttt', 'tttb', '...p', '...p'], 1, 0, 1, 0),  # one shared pixel is no find
    (['b..', '.b.', '..b'], 1, 1, 1, 1),  # a corner connects
    (['tttt', 'tttt', 'ttbt', 'tttt'], 1, 0, 1, 1),  # one pixel in a pocket is right and finds nothing
    (['bb.', 't..', 'bb.'], 1, 1, 2, 2),  # two halves find a pocket together
    (['bppp', 'pppp', 'pppb'], 2, 2, 1, 0),  # one blob finds everything and is wrong
    (['...'], 0, 0, 0, 0),
])  # fmt: skip
def test_pockets_by_hand(rows, true, found, predicted, right):
    """Lines of `p` (predicted), `t` (true), `b` (both) and `.`."""
    cells = np.array([list(row) for row in rows])
    counts = pocket_counts(np.isin(cells, ['p', 'b']), np.isin(cells, ['t', 'b']).astype(np.uint8))
    assert counts == dict(true=true, found=found, predicted=predicted, right=right)
    assert all(type(count) is int for count in counts.values())
