"""Many trainings: every config x split x seed as a process of its own, resumable, none stopping the others."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octfluid.datasets.lists import load_index
from octfluid.engine.room import Room, cores, fixed_rooms, measured_rooms
from octfluid.engine.sweep_plan import PlannedRun
from octfluid.records.record import read_records, to_run
from octfluid.reporting import folds
from octfluid.reporting.formats import percent
from octfluid.utils.atomic import write_json
from octfluid.utils.errors import InputError
from octfluid.utils.lock import is_locked
from octfluid.utils.text import read_json

SUPERSEDED = '.superseded'
MARKER = 'sweep.json'
_SECONDS_TO_STOP = 60  # for the step that a training is at, and its checkpoint
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_BETWEEN_MEASUREMENTS = 1.0
_Entry = tuple[PlannedRun, subprocess.Popen, Room, int]  # the last: how long its log was at the start


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        run: The run.
        status: ``done``, ``skipped`` (its record was there already) or ``failed``.
        record: Its run record, None when it failed.
        message: The last error line of a failed run, else empty.
    """

    run: PlannedRun
    status: str
    record: dict[str, Any] | None = None
    message: str = ''


def find_record(run: PlannedRun) -> dict[str, Any] | None:
    """Return the finished run's record, None when there is none that agrees with its identity.

    Raises:
        InputError: A record in the run's folder is broken.
    """
    if not run.folder.is_dir():
        return None
    for _, record in read_records([run.folder]):
        wanted = run.identity['init']
        found = record['init'] and {key: record['init'][key] for key in wanted or ('name',)}
        same = all(record[key] == run.identity[key] for key in ('config_sha256', 'split', 'seed'))
        if same and found == wanted and (record['kind'], record['variant']) == ('train', ''):
            return record
    return None


def _prepare(run: PlannedRun) -> bool:
    """Make the run's folder ready and tell whether there is something to resume.

    A folder that holds another run (an earlier version of the config, other weights, another precision) is moved below
    `SUPERSEDED`, so that nothing of it is resumed, reported or lost.
    """
    content = {**run.identity, 'amp': run.amp}
    marker, checkpoint = run.folder / MARKER, run.folder / 'last_checkpoint'
    try:
        same = read_json(marker) == content
    except InputError:
        same = False
    if run.folder.is_dir() and not same and any(run.folder.iterdir()):
        aside, number = run.work_dir / SUPERSEDED / run.config.stem, 1
        while (aside / f'{run.name}_{number}').exists():
            number += 1
        aside.mkdir(parents=True, exist_ok=True)
        shutil.move(run.folder, aside / f'{run.name}_{number}')
    write_json(marker, content)
    return checkpoint.is_file()


def start(run: PlannedRun, command: Sequence[str], gpu: str | None = None, threads: int | None = None) -> subprocess.Popen:
    """Start a run's training, from its last checkpoint if it has one, with its output in the run's log.

    Args:
        run: The run; its folder is made ready.
        command: The training command.
        gpu: Value for CUDA_VISIBLE_DEVICES, None leaves it alone.
        threads: Value for OMP_NUM_THREADS, None leaves it alone.
    """
    resume = _prepare(run)
    environment = dict(os.environ)
    if gpu is not None:
        environment['CUDA_VISIBLE_DEVICES'] = gpu
    if threads is not None:
        environment['OMP_NUM_THREADS'] = str(threads)
    with open(run.log, 'ab' if resume else 'wb') as log:
        # A session of its own: Ctrl-C reaches this process alone, which then stops the run and its data workers together.
        return subprocess.Popen(
            run.command(command, resume),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def stop(processes: Sequence[subprocess.Popen]) -> None:
    """Ask processes and their children to end, wait, and insist."""
    for process in processes:
        _signal_group(process, signal.SIGTERM)
    deadline = time.monotonic() + _SECONDS_TO_STOP
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal_group(process, signal.SIGKILL)
            process.wait()


def _signal_group(process: subprocess.Popen, number: int) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return  # it ended between the two calls


def last_error_line(log: Path) -> str:
    """Return the last line of a log that starts with ``error:``, or its last line that is not empty."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 65536))
        text = file.read().decode('utf-8', errors='replace')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('error:')]
    return (errors or lines or ['(the log is empty)'])[-1]


def outcome_of(run: PlannedRun, status: int) -> Outcome:
    """Return how a run ended whose process ended with ``status`` (negative: the number of the signal that killed it)."""
    if status == 0:
        try:
            record = find_record(run)
        except InputError as error:
            return Outcome(run, 'failed', message=str(error))
        if record is not None:
            return Outcome(run, 'done', record)
        return Outcome(run, 'failed', message=f'it ended without a run record that fits in {run.folder}')
    how = f'killed by signal {-status}' if status < 0 else f'exit status {status}'
    return Outcome(run, 'failed', message=f'{last_error_line(run.log)} ({how})')


def split_done(runs: Sequence[PlannedRun]) -> tuple[list[Outcome], list[PlannedRun]]:
    """Separate the runs whose record is there already from those to do."""
    found = [(run, find_record(run)) for run in runs]
    return [Outcome(run, 'skipped', record) for run, record in found if record], [run for run, record in found if not record]


def _take(waiting: list[PlannedRun]) -> PlannedRun | None:
    """Take the first run that no other process trains: another sweep, or a training that has outlived one."""
    run = next((run for run in waiting if not is_locked(run.folder)), None)
    if run is not None:
        waiting.remove(run)
    return run


def _ended(running: list[_Entry], waiting: list[PlannedRun]) -> list[Outcome]:
    """Take what has ended from what runs; if another process had begun the same run meanwhile, that is waited for."""
    outcomes = []
    for entry in list(running):
        run, process, *_ = entry
        if (status := process.poll()) is not None:
            running.remove(entry)
            if status and is_locked(run.folder):
                waiting.append(run)
            else:
                outcomes.append(outcome_of(run, status))
    return outcomes


def run_all(
    runs: Sequence[PlannedRun],
    command: Sequence[str],
    *,
    jobs: int | None = 1,
    gpus: Sequence[str] = (),
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run trainings, some at a time.

    Args:
        runs: What to run, in this order.
        command: The training command, such as ``[sys.executable, 'tools/train.py']``.
        jobs: Parallel processes, >= 1; with more than one, each is given its share of the cores as OMP_NUM_THREADS. None: as
            many as the memory of each GPU, or of the machine, has room for (see `octfluid.engine.room.measured_rooms`).
        gpus: Values for CUDA_VISIBLE_DEVICES, shared out among the jobs in turn; empty leaves it alone.
        on_outcome: Called after each run.

    Returns:
        Outcomes in the order of ``runs``. A run that another process trains is waited for. When interrupted, the running
        processes are stopped before the exception goes on.

    Raises:
        InputError: The memory is not known that shall decide how many run at a time.
    """
    rooms = measured_rooms(gpus) if jobs is None else fixed_rooms(min(jobs, len(runs)), gpus)
    most = sum(room.most for room in rooms)
    threads = max(1, cores() // most) if most > 1 else None
    waiting, outcomes = list(runs), {}
    running: list[_Entry] = []
    try:
        while waiting or running:
            ended = []
            for room in rooms:
                space = room.has_space([(run.log, begin) for run, _, where, begin in running if where is room])
                if not space or (run := _take(waiting)) is None:
                    continue
                if record := find_record(run):
                    ended.append(Outcome(run, 'skipped', record))
                else:
                    process = start(run, command, room.gpu, threads)
                    running.append((run, process, room, run.log.stat().st_size))
            for outcome in ended + _ended(running, waiting):
                outcomes[outcome.run.folder] = outcome
                on_outcome(outcome)
            if running or waiting:
                time.sleep(_SECONDS_BETWEEN_LOOKS if jobs else _SECONDS_BETWEEN_MEASUREMENTS)
    finally:
        stop([process for _, process, *_ in running])
    return [outcomes[run.folder] for run in runs]


def pooled_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Say what the folds of leave-one-subject-out come to together: one line a config, initial weights and seed.

    Args:
        outcomes: Of all runs of a sweep, those of other protocols included.

    Returns:
        Lines with the scores over all folds, in percent, or with the folds that are missing: then the scores are withheld.

    Raises:
        InputError: Records that cannot be pooled, see `octfluid.reporting.folds.pool`; or a data set without an index.
    """
    groups: dict[tuple, list[Outcome]] = {}
    for outcome in outcomes:
        run = outcome.run
        if folds.protocol_of(run.split) == folds.LEAVE_ONE_OUT:
            groups.setdefault((run.config, run.init, run.seed, run.data_root), []).append(outcome)
    lines = []
    for (config, init, seed, data_root), members in groups.items():
        expected = {name: row.subject for name, row in load_index(data_root).items()}
        done = [to_run(outcome.run.folder, outcome.record) for outcome in members if outcome.record]
        pooled = folds.pool(done, expected) if done else None
        title = f'{folds.LEAVE_ONE_OUT}, {config.stem} {init} seed {seed}'
        if pooled is None or pooled.missing:
            missing = ', '.join(pooled.missing if pooled else folds.fold_names(expected))
            lines.append(f'{title}: pooled scores withheld, no complete record of {missing}')
        else:
            scores = ', '.join(
                f'{label} {percent(pooled.scores[name])} %'
                for name, label in (('mIoU', 'mIoU'), ('mDice', 'mDice'), ('Dice', 'foreground Dice'))
            )
            lines.append(f'{title}: {scores}, pooled over {len(pooled.runs)} folds, {len(pooled.images)} images')
    return lines
