import numpy as np
import pytest

from octfluid.metrics.lesions import pocket_counts


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
