"""Train every config x split x seed, each in its own process: resumable, and one failure does not stop the others."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from octfluid.datasets.splits import PROTOCOLS, expand_protocols
from octfluid.records.record import file_sha256, read_records
from octfluid.utils.atomic import write_json
from octfluid.utils.errors import InputError
from octfluid.utils.lock import is_locked
from octfluid.utils.text import read_json

SUPERSEDED = '.superseded'
MARKER = 'sweep.json'
_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_TO_STOP = 60  # a training finishes its step and writes a checkpoint


@dataclass(frozen=True)
class Resolved:
    """A config under a given split and initial weights (a file or URL; None for random ones)."""

    config_sha256: str
    split: str
    weights: str | None
    data_root: Path


@dataclass(frozen=True)
class PlannedRun:
    """One training of a sweep."""

    config: Path
    seed: int
    split: str
    init: str  # stem of the file of initial weights, or 'scratch'
    identity: dict[str, Any]  # what the record must have; of ``init`` the name of a URL, the sha256 of a file, or None
    amp: str | None  # as tools/train.py takes it
    data_root: Path
    work_dir: Path  # of the sweep
    arguments: tuple[str, ...]  # of the training command after the config, except --work-dir and --resume

    @property
    def name(self) -> str:
        """Name of the run, unique among the runs of its config."""
        return f'{self.split}_{self.init}_seed{self.seed}'

    @property
    def folder(self) -> Path:
        """Work folder of the run."""
        return self.work_dir / self.config.stem / self.name

    @property
    def log(self) -> Path:
        """File with the output of the training process."""
        return self.folder / 'train.log'

    def command(self, train: Sequence[str], resume: bool) -> list[str]:
        """Return the command line of the run; ``train`` is the training command."""
        return [*train, str(self.config), '--work-dir', str(self.folder), *(['--resume'] if resume else []), *self.arguments]


def resolve_config(config: Path, split: str | None, init: str | None, options: Sequence[str]) -> Resolved:
    """Resolve a config as ``tools/train.py`` does; refuse (InputError) splits and initial weights that it would refuse."""
    from octfluid.datasets.integrity import refuse_overlap
    from octfluid.datasets.spec import data_root_of, split_of
    from octfluid.engine.config import load_config, parse_options
    from octfluid.records.fingerprint import config_sha256

    cfg = load_config(config, parse_options(options), split=split, init=init)
    split, root = split_of(cfg), data_root_of(cfg)
    refuse_overlap(root, split)
    weights = cfg.get('load_from')
    if weights and '://' not in weights:
        _require_weights(weights)
    return Resolved(config_sha256(cfg), split, weights, Path(root))


@cache
def _require_weights(path: str) -> None:
    """Read a file of initial weights once, before any run of the sweep fails because of it."""
    from octfluid.engine.checkpoint import read_checkpoint

    read_checkpoint(path)


def _expand_splits(config: Path, names: Sequence[str], options: Sequence[str]) -> list[str]:
    """Replace protocols, such as ``leave-one-subject-out``, by the splits of the config's data set."""
    from octfluid.datasets.spec import data_root_of
    from octfluid.engine.config import load_config, parse_options

    if not set(names) & set(PROTOCOLS):
        return list(names)
    return expand_protocols(data_root_of(load_config(config, parse_options(options))), names)


def _refuse_repeated(what: str, values: Sequence[Any]) -> None:
    if repeated := [str(value) for value, number in Counter(values).items() if number > 1]:
        raise InputError(f'{what} given more than once: {", ".join(repeated)}; expected each once')


@cache
def _init_identity(weights: str | None) -> dict[str, str] | None:
    if weights is None:
        return None
    return {'name': weights} if '://' in weights else {'sha256': file_sha256(weights)}


def plan_runs(
    configs: Sequence[Path],
    seeds: Sequence[int],
    work_dir: Path,
    *,
    splits: Sequence[str] | None = None,
    init: str | None = None,
    amp: str | None = None,
    options: Sequence[str] = (),
    resolve: Callable[[Path, str | None, str | None, Sequence[str]], Resolved] = resolve_config,
) -> list[PlannedRun]:
    """List the runs of a sweep: configs in the order given, then splits (and protocols), then seeds.

    ``splits`` and ``init`` replace those of the configs; ``init='none'`` means random weights. ``options`` are ``KEY=VALUE``.

    Raises:
        InputError: A repeated seed, split or config name, or a config that cannot be used.
    """
    _refuse_repeated('seeds', seeds)
    _refuse_repeated('config names', [Path(config).stem for config in configs])
    runs = []
    for config in map(Path, configs):
        names = _expand_splits(config, splits or (), options)
        _refuse_repeated('splits', names)
        for asked in names or (None,):
            found = resolve(config, asked, init, options)
            label = re.sub(r'[^A-Za-z0-9_.+-]+', '-', Path(found.weights).stem) if found.weights else 'scratch'
            same = dict(config_sha256=found.config_sha256, split=found.split, init=_init_identity(found.weights))
            named = (('--split', asked), ('--init', init), ('--amp', amp))
            common = [part for name, value in named if value for part in (name, value)]
            common += ['--cfg-options', *options] if options else []
            where = found.data_root, Path(work_dir)
            for seed in seeds:
                identity, arguments = {**same, 'seed': seed}, ('--seed', str(seed), *common)
                runs.append(PlannedRun(config, seed, found.split, label, identity, amp, *where, arguments))
    return runs


@dataclass(frozen=True)
class Outcome:
    """The result of a run: ``done``, ``skipped`` (its record exists already), or ``failed`` with an error message."""

    run: PlannedRun
    status: str
    record: dict[str, Any] | None = None
    message: str = ''


def find_record(run: PlannedRun) -> dict[str, Any] | None:
    """Return the record of a finished run; None if no record has its identity."""
    if not run.folder.is_dir():
        return None
    wanted = run.identity['init']
    for _, record in read_records([run.folder]):
        found = record['init'] and {key: record['init'][key] for key in wanted or ('name',)}
        same = all(record[key] == run.identity[key] for key in ('config_sha256', 'split', 'seed'))
        if same and found == wanted and (record['kind'], record['variant']) == ('train', ''):
            return record
    return None


def split_done(runs: Sequence[PlannedRun]) -> tuple[list[Outcome], list[PlannedRun]]:
    """Separate the runs that have a record from those to train."""
    found = [(run, find_record(run)) for run in runs]
    return [Outcome(run, 'skipped', record) for run, record in found if record], [run for run, record in found if not record]


def _prepare(run: PlannedRun) -> bool:
    """Prepare the run's folder; return whether it has a checkpoint to resume from.

    Another run in it (an earlier version of the config, other weights or precision) moves below `SUPERSEDED`.
    """
    content, marker = {**run.identity, 'amp': run.amp}, run.folder / MARKER
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
    return (run.folder / 'last_checkpoint').is_file()


def start(run: PlannedRun, command: Sequence[str], gpu: str | None = None, threads: int | None = None) -> subprocess.Popen:
    """Start the training of a run, from its last checkpoint if there is one. Its output goes to the run's log.

    ``gpu`` and ``threads`` set CUDA_VISIBLE_DEVICES and OMP_NUM_THREADS, where given.
    """
    resume = _prepare(run)
    changes = {'CUDA_VISIBLE_DEVICES': gpu, 'OMP_NUM_THREADS': threads and str(threads)}
    environment = os.environ | {key: value for key, value in changes.items() if value is not None}
    with open(run.log, 'ab' if resume else 'wb') as log:
        # In a new session Ctrl-C reaches only this process, which then stops the training and its data workers together.
        return subprocess.Popen(
            run.command(command, resume), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True,
        )  # fmt: skip


def outcome_of(run: PlannedRun, status: int) -> Outcome:
    """Return the outcome of a run from the exit status of its process (negative: killed by the signal of that number)."""
    if status:
        how = f'killed by signal {-status}' if status < 0 else f'exit status {status}'
        return Outcome(run, 'failed', message=f'{last_error_line(run.log)} ({how})')
    if record := find_record(run):
        return Outcome(run, 'done', record)
    return Outcome(run, 'failed', message=f'it ended without a run record that fits in {run.folder}')


@contextmanager
def stopped(processes: Callable[[], Sequence[subprocess.Popen]]) -> Iterator[None]:
    """When the block ends, terminate processes that still run, with their children; kill them if that takes too long."""
    try:
        yield
    finally:
        left = processes()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in (one for one in left if one.poll() is None):
                with suppress(ProcessLookupError):  # it ended between the two calls
                    os.killpg(process.pid, number)
            for process in left:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(1.0, deadline - time.monotonic()))


def last_error_line(log: Path) -> str:
    """Return the last line of a log that starts with ``error:``, else its last line that is not empty."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 65536))
        text = file.read().decode('utf-8', errors='replace')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ([line for line in lines if line.startswith('error:')] or lines or ['(the log is empty)'])[-1]


def run_all(
    runs: Sequence[PlannedRun],
    command: Sequence[str],
    *,
    jobs: int = 1,
    gpus: Sequence[str] = (),
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Train runs on this machine, ``jobs`` at a time, and return their outcomes in the order of ``runs``.

    With several jobs, each gets its share of the cores as OMP_NUM_THREADS and, in turn, one of ``gpus`` as
    CUDA_VISIBLE_DEVICES. A run that another process trains is waited for. An exception, such as Ctrl-C, stops the processes.
    """
    jobs = min(jobs, len(runs))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    threads = max(1, cores // jobs) if jobs > 1 else None
    waiting, outcomes = list(runs), {}
    running: dict[int, tuple[PlannedRun, subprocess.Popen]] = {}

    def finish(outcome: Outcome) -> None:
        outcomes[outcome.run.folder] = outcome
        on_outcome(outcome)

    with stopped(lambda: [process for _, process in running.values()]):
        while waiting or running:
            for slot in (slot for slot in range(jobs) if slot not in running):
                if (run := next((run for run in waiting if not is_locked(run.folder)), None)) is None:
                    break
                waiting.remove(run)
                if record := find_record(run):
                    finish(Outcome(run, 'skipped', record))
                else:
                    running[slot] = run, start(run, command, gpus[slot % len(gpus)] if gpus else None, threads)
            for slot, (run, process) in list(running.items()):
                if (status := process.poll()) is not None:
                    del running[slot]
                    if status and is_locked(run.folder):  # another process began the same run at the same moment
                        waiting.append(run)
                    else:
                        finish(outcome_of(run, status))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    return [outcomes[run.folder] for run in runs]
