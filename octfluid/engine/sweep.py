"""Train every config x split x seed, each in its own process: resumable, and one failure does not stop the others.

On a Slurm cluster every run becomes a job, submitted through ``submitit``. All machines of the cluster must see the work folder
and the data under the same paths.
"""

import contextlib
import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from octfluid.datasets.splits import PROTOCOLS, expand_protocols
from octfluid.records.record import read_records
from octfluid.utils.atomic import write_json
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError
from octfluid.utils.lock import is_locked
from octfluid.utils.text import read_json

SUPERSEDED = '.superseded'
MARKER = 'sweep.json'
JOB_FOLDER = '.slurm'
"""Below the work folder: the files that submitit and Slurm write about each job."""
_SECONDS_BETWEEN_LOOKS = 0.1
CONTEXT_MB = 1024
"""What a process takes on a GPU besides its tensors, at most."""
_SECONDS_TO_STOP = 60  # a training finishes its step and writes a checkpoint
_GPU_MEMORY = re.compile(rb'\bmemory: (\d+)')  # in MB, in the log lines of a training on a GPU
# submitit has its own name for these; all other parameters go to its Slurm executor.
_COMMON = {'time': 'timeout_min', 'gpus_per_node': 'gpus_per_node', 'cpus_per_task': 'cpus_per_task'}


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
    from octfluid.datasets.config_data import data_root_of, split_of
    from octfluid.datasets.integrity import refuse_overlap
    from octfluid.engine.config import load_config, parse_options
    from octfluid.records.fingerprint import config_sha256

    cfg = load_config(config, parse_options(options), split=split, init=init)
    split, root = split_of(cfg), data_root_of(cfg)
    refuse_overlap(root, split)
    return Resolved(config_sha256(cfg), split, cfg.get('load_from'), Path(root))


def _expand_splits(config: Path, names: Sequence[str], options: Sequence[str]) -> list[str]:
    from octfluid.datasets.config_data import data_root_of
    from octfluid.engine.config import load_config, parse_options

    if not set(names) & set(PROTOCOLS):
        return list(names)
    return expand_protocols(data_root_of(load_config(config, parse_options(options))), names)


def _refuse_repeated(what: str, values: Sequence[Any]) -> None:
    if len(set(values)) < len(values):
        raise InputError(f'{what} given more than once: {", ".join(map(str, values))}; expected each once')


@cache
def _init_identity(weights: str | None) -> dict[str, str] | None:
    """Return how a record names initial weights; refuse (InputError) a file before any run fails because of it."""
    from octfluid.engine.checkpoint import read_checkpoint

    if weights is None or '://' in weights:
        return weights and {'name': weights}
    read_checkpoint(weights)
    return {'sha256': file_sha256(weights)}


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


def earlier_outcome(run: PlannedRun) -> Outcome | None:
    """Return ``skipped`` for a run that has its record, ``failed`` for one with a broken record; None for one to train."""
    try:
        record = find_record(run)
    except InputError as error:
        return Outcome(run, 'failed', message=str(error))
    return Outcome(run, 'skipped', record) if record else None


def split_done(runs: Sequence[PlannedRun]) -> tuple[list[Outcome], list[PlannedRun]]:
    """Return the outcomes of runs that have a record, and the runs to train."""
    found = [(run, earlier_outcome(run)) for run in runs]
    return [outcome for _, outcome in found if outcome], [run for run, outcome in found if not outcome]


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

    ``gpu`` (its number as nvidia-smi counts) and ``threads`` set CUDA_VISIBLE_DEVICES and OMP_NUM_THREADS, where given.
    """
    resume = _prepare(run)
    changes = {'CUDA_VISIBLE_DEVICES': gpu, 'CUDA_DEVICE_ORDER': gpu and 'PCI_BUS_ID'}
    changes['OMP_NUM_THREADS'] = threads and str(threads)
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
    if outcome := earlier_outcome(run):
        return replace(outcome, status='done') if outcome.record else outcome
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


def has_room(gpu: str | None, others: Sequence[tuple[PlannedRun, int]], peak: int) -> bool:
    """Return whether one more run may start on a GPU: it is known what the others there take, and a fifth more is free.

    Each of ``others`` comes with the size of its log when it was started; ``peak`` is the most bytes of runs that have ended.
    Without nvidia-smi there is always room. ``gpu`` is a number as it counts, or None for the first that is visible.
    """
    if not others or not shutil.which('nvidia-smi'):
        return True
    taken = [peak >> 20]
    for run, begun in others:
        with open(run.log, 'rb') as log:
            log.seek(begun)
            text = log.read()
            if not (lines := _GPU_MEMORY.findall(text)):
                return b'Iter(train)' in text  # such a run has no GPU
        taken += map(int, lines)
    gpu = gpu or os.environ.get('CUDA_VISIBLE_DEVICES', '0').split(',')[0]
    query = ['nvidia-smi', '--query-gpu=memory.free', '--format=csv,noheader,nounits', f'--id={gpu}']
    free = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return not free.isdecimal() or int(free) > 1.2 * max(taken) + CONTEXT_MB


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
    CUDA_VISIBLE_DEVICES; one that is taken must have room (`has_room`). A run that ran out of memory next to others is tried
    once more at the end, alone. A run that another process trains is waited for. An exception, such as Ctrl-C, stops the
    processes.
    """
    jobs = min(jobs, len(runs))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    threads = max(1, cores // jobs) if jobs > 1 else None
    waiting, alone, again, outcomes = list(runs), [], set(), {}
    running: dict[int, tuple[PlannedRun, subprocess.Popen, int]] = {}
    cards = list(gpus) or [None]

    def finish(outcome: Outcome) -> None:
        outcomes[outcome.run.folder] = outcome
        on_outcome(outcome)

    with stopped(lambda: [process for _, process, _ in running.values()]):
        while waiting or running or alone:
            if not waiting and not running:
                waiting.append(alone.pop())
            pause = _SECONDS_BETWEEN_LOOKS
            for slot in (slot for slot in range(jobs) if slot not in running):
                if (run := next((run for run in waiting if not is_locked(run.folder)), None)) is None:
                    break
                gpu = cards[slot % len(cards)]
                others = [(one, begun) for at, (one, _, begun) in running.items() if cards[at % len(cards)] == gpu]
                peak = max((done.record['peak_memory_bytes'] for done in outcomes.values() if done.record), default=0)
                if not has_room(gpu, others, peak):
                    pause = 10 * _SECONDS_BETWEEN_LOOKS
                    continue
                waiting.remove(run)
                if outcome := earlier_outcome(run):
                    finish(outcome)
                else:
                    process = start(run, command, gpu, threads)
                    running[slot] = run, process, run.log.stat().st_size
            for slot, (run, process, _) in list(running.items()):
                if (status := process.poll()) is not None:
                    del running[slot]
                    if status and is_locked(run.folder):  # another process began the same run at the same moment
                        waiting.append(run)
                        continue
                    outcome = outcome_of(run, status)
                    if jobs > 1 and 'out of memory' in outcome.message and run.folder not in again:
                        again.add(run.folder)
                        alone.append(run)
                    else:
                        finish(outcome)
            time.sleep(pause)
    return [outcomes[run.folder] for run in runs]


def parse_parameters(items: Sequence[str]) -> dict[str, int | str]:
    """Parse ``KEY=VALUE`` parameters of the jobs, with the names of submitit's Slurm executor; whole numbers become int.

    An InputError asks for ``time``, in minutes, if it is missing: submitit's default of 5 would stop a training.
    """
    pairs = (item.split('=', 1) for item in items if '=' in item)
    parameters = {key: int(value) if value.isdecimal() else value for key, value in pairs}
    if not isinstance(parameters.get('time'), int) or len(parameters) < len(items):
        raise InputError(f'--slurm {" ".join(items)}: expected each KEY=VALUE once, with whole minutes, such as time=240')
    return parameters


@dataclass(frozen=True)
class TrainingJob:
    """The work of one job. Slurm runs it again after a time-out or a preemption, and it resumes."""

    run: PlannedRun
    command: tuple[str, ...]

    def __call__(self) -> int:
        """Train and return the exit status; return 0 at once if an earlier job has finished the run."""
        if earlier_outcome(self.run):
            return 0
        process = start(self.run, self.command)
        with stopped(lambda: [process]):
            return process.wait()

    def checkpoint(self) -> Any:
        """Return the job to submit after a preemption: the same one."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run_on_cluster(
    runs: Sequence[PlannedRun],
    command: Sequence[str],
    parameters: dict[str, int | str],
    *,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    cluster: str = 'slurm',
) -> list[Outcome]:
    """Submit every run as a job and wait for all of them; an exception, such as Ctrl-C, cancels the unfinished jobs.

    Two jobs never train the same run at once, even after an interrupted sweep: Slurm starts a job only after earlier jobs with
    its name have ended (``--dependency=singleton``). It then finds the record, or resumes.

    ``cluster='local'`` runs the jobs as processes of this machine.

    Raises:
        InputError: An unknown parameter, no Slurm on this machine, or Slurm refuses a job.
    """
    jobs: dict[Path, Any] = {}
    outcomes: dict[Path, Outcome] = {}
    try:
        for run in runs:
            jobs[run.folder] = _submit(run, command, parameters, cluster)
        while len(outcomes) < len(runs):
            for run in runs:
                if run.folder not in outcomes and jobs[run.folder].done():
                    outcomes[run.folder] = _outcome_of_job(run, jobs[run.folder])
                    on_outcome(outcomes[run.folder])
            time.sleep(10 * _SECONDS_BETWEEN_LOOKS)
        return [outcomes[run.folder] for run in runs]
    finally:
        for folder in jobs.keys() - outcomes.keys():
            jobs[folder].cancel(check=False)


def _submit(run: PlannedRun, command: Sequence[str], parameters: dict[str, int | str], cluster: str) -> Any:
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError

    named = {_COMMON.get(key, f'slurm_{key}'): [value] if key == 'setup' else value for key, value in parameters.items()}
    # The name identifies the run and its work folder, so that Slurm keeps two jobs of one run apart.
    place = hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()[:8]
    name = f'octfluid-{run.config.stem}-{run.name}-{place}'
    try:
        executor = AutoExecutor(folder=run.work_dir / JOB_FOLDER, cluster=cluster)
        executor.update_parameters(**named, name=name, slurm_dependency='singleton')
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints the same text as the error has
            return executor.submit(TrainingJob(run, tuple(command)))
    except (AssertionError, NameError, RuntimeError, FailedJobError) as error:
        raise InputError(f'--slurm: the job of {run.config.stem} {run.name}: {" ".join(str(error).split())}') from error


def _outcome_of_job(run: PlannedRun, job: Any) -> Outcome:
    if job.exception() is None:
        return outcome_of(run, job.result())
    said = f'; last line of its log: {last_error_line(run.log)}' if run.log.is_file() else ''
    where = f'{run.work_dir / JOB_FOLDER}/{job.job_id}_*'
    return Outcome(run, 'failed', message=f'job {job.job_id} ended without a result ({job.state}), see {where}{said}')
