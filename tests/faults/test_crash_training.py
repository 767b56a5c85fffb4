"""A training that is killed or interrupted goes on from its last checkpoint to the very weights of an undisturbed one."""

import random
import signal

import pytest
from faults.crash import kill_often
from faults.ledger import budget, note
from faults.training_runs import ITERATIONS, Trainings, arguments
from octfluid.engine.interrupted import find_marks

from octfluid.engine.checkpoint import find_own_checkpoints, read_checkpoint
from octfluid.records.record import read_records

COMMAND = 'python -m pytest tests -m faults -k '


@pytest.fixture
def trainings(warm, tiny_options, tmp_path):
    return Trainings(warm, tmp_path, arguments(tiny_options))


def test_killed_trainings(trainings):
    times = budget(50, 3)
    tally = kill_often(times, trainings.seconds, trainings.start, trainings.look, trainings.finish)
    note('crash', 'training killed', tally.kills, tally.held, f'{COMMAND}killed_trainings', finished=tally.finished,
         seconds_undisturbed=round(trainings.seconds, 2), iterations=ITERATIONS)  # fmt: skip
    assert (tally.kills, tally.wrong) == (times, [])


def after_signal(trainings, number, running, status):
    """Return what is wrong with what an interrupted training leaves, None if nothing is."""
    lines = [line for line in running.said.splitlines() if line.startswith(('error', 'Traceback'))]
    if (status, len(lines)) != (128 + number, 1) or not lines[0].startswith('error: interrupted by SIG'):
        return f'status {status}: {running.said}'
    if ' iterations; ' not in lines[0]:
        return None  # it had not begun
    done, ((_, mark), *_) = find_own_checkpoints(trainings.folder), find_marks([trainings.folder])
    last = read_checkpoint(done[0])['meta']['iter'] if done else 0
    return None if (mark['iteration'], mark['signal']) == (last, signal.Signals(number).name) else f'{mark}, but {last}'


def test_interrupted_trainings(trainings):
    """SIGINT and SIGTERM to a training and its workers: status 130 or 143, a checkpoint of the step it was at, a mark."""
    times, draw, wrong, sent, begun = budget(30, 2), random.Random(1), [], 0, 0
    while sent < times:
        running, number = trainings.start(), (signal.SIGINT, signal.SIGTERM)[sent % 2]
        within = sent % 4 in (0, 3)  # the training, for certain; else any moment, from the reading of the config on
        status = trainings.wait_for_checkpoint(running) if within else None
        if status is None:
            status = running.wait(draw.uniform(*((0, 0.2) if within else (0.1, 1))) * trainings.seconds)
        if status is None:
            running.signal(number)
            status = running.wait(60)
        if read_records([trainings.folder] if trainings.folder.exists() else []):  # it had finished before the signal
            wrong += [problem] if (problem := trainings.finish(running, 0)) else []
            continue
        sent += 1
        wrong += [problem] if (problem := after_signal(trainings, number, running, status)) else []
        begun += trainings.folder.exists() and bool(find_marks([trainings.folder]))
    running = trainings.start()
    wrong += [problem] if (problem := trainings.finish(running, running.wait())) else []
    note('crash', 'training interrupted by SIGINT or SIGTERM', sent, sent - len(wrong),
         f'{COMMAND}interrupted_trainings', while_training=begun)  # fmt: skip
    assert (sent, wrong) == (times, []) and begun > 0
