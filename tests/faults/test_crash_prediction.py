"""A prediction that is killed is repeated by the same command, and comes to the same."""

import json
import shutil
import signal

import numpy as np
import pytest
from faults.crash import broken, contents, hidden, kill_often
from faults.ledger import budget, note
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom

TOOL = 'tools/predict.py'
FRAMES = [make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(4)]
COMMAND = 'python -m pytest tests -m faults -k '


@pytest.fixture
def scans(tmp_path):
    """Four B-scans and a volume of three."""
    folder = tmp_path / 'in'
    folder.mkdir()
    for place, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(folder / f'b{place}.png')
    savemat(folder / 'v.mat', {'images': np.stack(FRAMES[:3], axis=2)})
    return folder


class Predictions:
    """Predicts into a folder, and knows what an undisturbed call comes to."""

    def __init__(self, warm, scans, folder):
        self.warm, self.inputs, self.out = warm, sorted(scans.iterdir()), folder / 'out'
        running, status = warm.done(TOOL, *self.inputs, '--out', folder / 'whole', '--save-prob')
        assert status == 0, running.said
        self.seconds, self.whole = running.seconds, self.result(folder / 'whole')

    def start(self):
        return self.warm.start(TOOL, *self.inputs, '--out', self.out, '--save-prob')

    def look(self):
        return broken(self.out) if self.out.exists() else None

    def finish(self, running, status):
        """Status 2: it was killed when all was in place already, which another call does not replace."""
        done = status == 0 or (status == 2 and 'is there already' in running.said)
        left = hidden(self.out)
        wrong = not done or self.result(self.out) != self.whole or (status == 0 and left)
        shutil.rmtree(self.out, ignore_errors=True)
        return wrong and f'status {status}, left behind: {left}'

    @staticmethod
    def result(out):
        """Return all files but for how long it took."""
        files = contents(out)
        manifest = json.loads(files.pop('manifest.json'))
        return {
            **{name: data for name, data in files.items() if not name.endswith('.gz')},
            'manifest': manifest | {'seconds': 0},
        }


@pytest.fixture
def predictions(warm, scans, tmp_path):
    return Predictions(warm, scans, tmp_path)


def test_killed_predictions(predictions):
    times = budget(50, 2)
    tally = kill_often(times, predictions.seconds, predictions.start, predictions.look, predictions.finish)
    note('crash', 'prediction killed', tally.kills, tally.held, f'{COMMAND}killed_predictions', finished=tally.finished,
         seconds_undisturbed=round(predictions.seconds, 2), files=len(predictions.whole))  # fmt: skip
    assert (tally.kills, tally.wrong) == (times, [])


def test_interrupted_predictions(predictions):
    times, wrong = budget(10, 2), []
    for place in range(times):
        number = (signal.SIGINT, signal.SIGTERM)[place % 2]
        running = predictions.start()
        while not (predictions.out / 'manifest.partial.json').exists():
            assert running.wait(0.01) is None, running.said
        running.signal(number)
        status = running.wait()
        left = hidden(predictions.out) + ['manifest.json' for _ in predictions.out.glob('manifest.json')]
        fine = status == 128 + number and (predictions.out / 'manifest.partial.json').exists() and not left
        wrong += [] if fine else [f'status {status}, left behind {left}: {running.said}']
        running = predictions.start()
        wrong += [problem] if (problem := predictions.finish(running, running.wait())) else []
    note('crash', 'prediction interrupted by SIGINT or SIGTERM', times, times - len(wrong), f'{COMMAND}interrupted_predictions')
    assert wrong == []
