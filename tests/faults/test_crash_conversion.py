"""A conversion that is killed leaves the earlier data set or the new one, never a mixture."""

import shutil

import numpy as np
import pytest
import scipy.io
from faults.crash import contents, hidden, kill_often
from faults.ledger import budget, note

TOOL = 'tools/dataset_converters/duke_dme.py'
SHAPE = (120, 180, 8)


@pytest.fixture
def raw(tmp_path):
    """Ten small volumes, which the two graders have marked differently."""
    folder = tmp_path / 'raw'
    folder.mkdir()
    for number in range(1, 11):
        draw = np.random.default_rng(number)
        variables = {'images': draw.integers(0, 256, SHAPE, dtype=np.uint8)}
        for grader in (1, 2):
            fluid = np.zeros(SHAPE)
            fluid[10 * grader : 60, 20:70] = 1
            variables[f'manualFluid{grader}'] = fluid
        scipy.io.savemat(folder / f'Subject_{number:02d}.mat', variables, do_compression=True)
    return folder


def test_killed_conversions(warm, raw, tmp_path):
    times, whole, seconds = budget(50, 3), {}, 0
    for grader in (1, 2):
        running, status = warm.done(TOOL, raw, '--out', tmp_path / f'whole{grader}', '--grader', grader)
        assert status == 0, running.said
        whole[grader], seconds = contents(tmp_path / f'whole{grader}'), running.seconds
    assert whole[1] != whole[2]
    place = tmp_path / 'place'
    out = place / 'out'
    shutil.copytree(tmp_path / 'whole1', out)

    def look():
        if not out.exists():  # killed while it exchanged the two: the next call brings the earlier one back
            return None if [name for name in hidden(place) if name.startswith('.octfluid-old-out')] else 'no data set is left'
        return None if contents(out) in whole.values() else 'a mixture of both'

    def finish(running, status):
        wrong = status != 0 or contents(out) != whole[2] or hidden(place)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / 'whole1', out)
        return wrong and f'status {status}, left behind: {hidden(place)}'

    tally = kill_often(times, seconds, lambda: warm.start(TOOL, raw, '--out', out, '--grader', 2), look, finish)
    note('crash', 'conversion killed', tally.kills, tally.held, 'python -m pytest tests -m faults -k killed_conversions',
         seconds_undisturbed=round(seconds, 2), finished=tally.finished, files=len(whole[2]))  # fmt: skip
    assert (tally.kills, tally.wrong) == (times, [])
