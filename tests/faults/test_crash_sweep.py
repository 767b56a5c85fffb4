"""A sweep that is killed, with its trainings or without them, is finished by the same command."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from faults.crash import broken, kill_often
from faults.ledger import budget, note
from faults.training_runs import CONFIG, MAY_DIFFER, arguments

from octfluid.records.record import read_records

TOOL = 'tools/sweep.py'
COMMAND = 'python -m pytest tests -m faults -k '


def children(pid):
    """Return the numbers of the processes that a process has started."""
    return [int(number) for path in Path(f'/proc/{pid}/task').glob('*/children') for number in path.read_text().split()]


class Sweeps:
    """Sweeps over two seeds, and knows what an undisturbed sweep comes to."""

    def __init__(self, warm, folder, given):
        self.warm, self.folder, self.given, self.turn = warm, folder / 'work', given, 0
        running, status = self.warm.start(TOOL, *self.arguments(folder / 'whole')), None
        assert (status := running.wait()) == 0, f'{status}: {running.said}'
        self.seconds, self.whole = running.seconds, self.result(folder / 'whole')

    def arguments(self, folder):
        return [CONFIG, '--seeds', 0, 1, '--work-dir', folder, *self.given]

    def start(self):
        running = self.warm.start(TOOL, *self.arguments(self.folder))
        self.turn += 1
        if self.turn % 2:  # as when power fails; else the trainings outlive the sweep
            end = running.signal

            def end_all(number):
                started = children(running.pid)
                end(number)
                for pid in started:
                    os.kill(pid, number)

            running.signal = end_all
        return running

    def look(self):
        return broken(self.folder) if self.folder.exists() else None

    def finish(self, running, status):
        wrong = status != 0 or self.result(self.folder) != self.whole
        shutil.rmtree(self.folder, ignore_errors=True)
        return wrong and f'status {status}'

    @staticmethod
    def result(folder):
        """Return the records, but for times."""
        records = {path.name: record for path, record in read_records([folder])}
        return {
            name: {key: value for key, value in record.items() if key not in MAY_DIFFER} for name, record in records.items()
        }


@pytest.fixture
def sweeps(warm, tiny_options, tmp_path):
    return Sweeps(warm, tmp_path, [*arguments(tiny_options), 'train_cfg.max_iters=6', 'train_dataloader.num_workers=0'])


def test_killed_sweeps(sweeps):
    times = budget(50, 1)
    tally = kill_often(times, sweeps.seconds, sweeps.start, sweeps.look, sweeps.finish)
    note('crash', 'sweep killed', tally.kills, tally.held, f'{COMMAND}killed_sweeps', finished=tally.finished,
         seconds_undisturbed=round(sweeps.seconds, 2), trainings=len(sweeps.whole))  # fmt: skip
    assert (tally.kills, tally.wrong, len(sweeps.whole)) == (times, [], 2)


def test_interrupted_sweep(sweeps):
    """SIGTERM to a sweep: its training writes a checkpoint and a mark before the sweep ends with 143; then it goes on."""
    running = sweeps.start()
    deadline = time.monotonic() + 120
    while not list(sweeps.folder.glob('*/*/iter_*.pth')):
        assert time.monotonic() < deadline and running.wait(0.02) is None, running.said
    os.kill(running.pid, signal.SIGTERM)
    status = running.wait()
    marks = [json.loads(path.read_text()) for path in sweeps.folder.rglob('interrupted.json')]
    records = len(read_records([sweeps.folder]))
    left = children(running.pid) if Path(f'/proc/{running.pid}').exists() else []
    running = sweeps.start()
    wrong = sweeps.finish(running, running.wait())
    held = (status, len(marks), records, left, wrong) == (143, 1, 0, [], False)
    note('crash', 'sweep interrupted by SIGTERM', 1, int(held), f'{COMMAND}interrupted_sweep')
    assert held, (status, marks, records, left, wrong)
