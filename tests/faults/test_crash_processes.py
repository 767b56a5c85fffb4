"""A training in two processes: whichever of them a signal meets, both end, and a resume comes to the same weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults.crash import ROOT, broken
from faults.ledger import budget, note
from faults.training_runs import CONFIG, Trainings, arguments, identical

from octfluid.engine.checkpoint import find_own_checkpoints
from octfluid.engine.interrupted import find_marks

TERM, KILL = signal.SIGTERM, signal.SIGKILL
INCIDENTS = [('1', KILL), ('1', TERM), ('launcher', TERM), ('0', KILL), ('all', signal.SIGINT), ('0', TERM)]
"""Which process gets which signal: a rank, or all at once as from a terminal."""


class Launched:
    """A training in two processes (gloo)."""

    def __init__(self, folder, given):
        self.folder = folder
        self.before = set(find_own_checkpoints(folder))
        command = ['bash', 'tools/dist_train.sh', CONFIG, '2', '--work-dir', folder, '--resume', *given]
        environment = os.environ | {'CUDA_VISIBLE_DEVICES': '', 'PYTHON': sys.executable, 'OMP_NUM_THREADS': '1'}
        self.output = open(f'{folder}.log', 'w')  # noqa: SIM115  as long as this lives
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self.output, stderr=self.output, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a shell's background jobs ignore
        )  # fmt: skip

    @property
    def said(self):
        return Path(self.output.name).read_text()

    def at_work(self, seconds=120):
        """Wait until it has written a checkpoint; whether it has, and goes on."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if set(find_own_checkpoints(self.folder)) - self.before:
                return True
            time.sleep(0.05)
        return False

    def send(self, whom, number):
        """Send a signal."""
        if whom == 'all':
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.process.pid if whom == 'launcher' else rank(self.process.pid, whom), number)

    def end(self):
        """Wait for its end; return the status."""
        return self.process.wait(120)


def rank(launcher, number):
    """Return the process of a rank."""
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((folder / 'stat').read_text().rpartition(')')[2].split()[1])
            if parent == launcher and f'RANK={number}' in (folder / 'environ').read_text().split('\0'):
                return int(folder.name)
        except OSError:
            continue  # it has just ended
    raise ProcessLookupError(number)


def after(launched, whom, number):
    """Return what is wrong once a signal has ended a training, None if nothing is."""
    status, said, marks = launched.end(), launched.said, find_marks([launched.folder])
    if status == 0 or (wrong := broken(launched.folder)):
        return f'status {status}: {said if status == 0 else wrong}'
    if number == KILL:  # of whatever kind the other's failure is, one line says it
        line = 'another process of this run has ended, without which this one cannot go on; --resume'
        return None if said.count(line) == 1 and not marks and '[rank' not in said else said
    last = find_own_checkpoints(launched.folder)[0].name
    told = f'error: interrupted by {number.name} after ' in said and f'goes on from {launched.folder / last}' in said
    return None if told and marks[0][1]['checkpoint'] == last else f'{marks}, {last}: {said}'


@pytest.mark.skipif(not Path('/proc/self/environ').exists(), reason='finds processes by /proc')
def test_two_processes_and_signals(tiny_options, tmp_path):
    times, wrong = budget(len(INCIDENTS), 1), []
    given = [*arguments(tiny_options), 'train_cfg.max_iters=60', 'train_dataloader.num_workers=0', 'train_cfg.val_interval=60']
    whole = Launched(tmp_path / 'whole', given)
    assert whole.end() == 0, whole.said
    for whom, number in INCIDENTS[:times]:
        launched = Launched(tmp_path / 'run', given)
        assert launched.at_work(), launched.said
        launched.send(whom, number)
        wrong += [f'{number.name} to {whom}: {problem}' for problem in [after(launched, whom, number)] if problem]
    last = Launched(tmp_path / 'run', given)
    assert last.end() == 0, last.said
    # Not the record: what it says of losses before a resume is what the first process saw of them.
    same = [
        identical(one, other)
        for one, other in zip(Trainings.result(tmp_path / 'run')[:2], Trainings.result(tmp_path / 'whole')[:2], strict=True)
    ]
    wrong += [] if all(same) else [f'weights and optimizer the same: {same}']
    note('crash', 'training in two processes killed or interrupted', times, times - len(wrong),
         'python -m pytest tests -m faults -k two_processes_and_signals', weights_of_an_undisturbed_one=same[0])  # fmt: skip
    assert wrong == []
