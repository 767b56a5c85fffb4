"""A sweep on a Slurm cluster: every run a job of its own, submitted through ``submitit``.

Folders, logs, records and what is skipped or resumed are those of `octfluid.engine.sweep`; only where a training runs
differs. The work folder and the data must lie where the cluster's machines see them under the same names.
"""

import contextlib
import difflib
import hashlib
import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from octfluid.engine.sweep import Outcome, find_record, last_error_line, outcome_of, start, stop
from octfluid.engine.sweep_plan import PlannedRun
from octfluid.utils.errors import InputError

JOB_FOLDER = '.slurm'
"""Below the work folder: what submitit and Slurm write about each job."""

_NUMBERS = ('time', 'gpus_per_node', 'cpus_per_task')
_TEXTS = (
    'partition', 'account', 'qos', 'constraint', 'gres', 'mem', 'nodelist', 'exclude', 'setup', 'comment', 'mail_type',
    'mail_user',
)  # fmt: skip
# These have a name that holds for all of submitit's executors; the others belong to Slurm's alone.
_COMMON_NAMES = {'time': 'timeout_min', 'gpus_per_node': 'gpus_per_node', 'cpus_per_task': 'cpus_per_task'}
_SECONDS_BETWEEN_LOOKS = 1.0


def parse_parameters(items: Sequence[str]) -> dict[str, int | str]:
    """Parse ``KEY=VALUE`` parameters of the jobs, under the names of submitit's Slurm executor.

    Args:
        items: ``time`` (minutes that one run may take; required, since Slurm would end a run early under submitit's five),
            ``gpus_per_node``, ``cpus_per_task``: whole numbers. ``partition``, ``account``, ``qos``, ``constraint``,
            ``gres``, ``mem`` (such as 32GB), ``nodelist``, ``exclude``, ``comment``, ``mail_type``, ``mail_user``: as
            ``sbatch`` takes them. ``setup``: a shell command that each job runs first.

    Returns:
        Value by name; numbers as int.

    Raises:
        InputError: An item without ``=``, an unknown or repeated name, not a number where one is expected, or no ``time``.
    """
    parameters: dict[str, int | str] = {}
    known = (*_NUMBERS, *_TEXTS)
    for item in items:
        key, _, value = item.partition('=')
        if not key or not value:
            raise InputError(f'--slurm {item}: expected KEY=VALUE, such as partition=gpu')
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ''
            raise InputError(f"--slurm {item}: unknown parameter '{key}'; {hint}Expected one of {', '.join(known)}")
        if key in parameters:
            raise InputError(f'--slurm: {key} is given more than once; expected once')
        if key in _NUMBERS and not (value.isdecimal() and int(value) >= (key == 'time')):
            unit = 'whole minutes, at least 1' if key == 'time' else 'a whole number'
            raise InputError(f'--slurm {item}: expected {unit}')
        parameters[key] = int(value) if key in _NUMBERS else value
    if 'time' not in parameters:
        raise InputError('--slurm: no time; expected the minutes that one run may take, such as time=240')
    return parameters


def require_slurm() -> None:
    """Check that jobs can be submitted from this machine.

    Raises:
        InputError: ``submitit`` or Slurm's commands are missing.
    """
    _submitit()
    if missing := [name for name in ('sbatch', 'srun', 'scancel') if shutil.which(name) is None]:
        raise InputError(
            f'no {missing[0]} on this machine; expected one from which jobs go to Slurm; '
            'without Slurm, leave out --executor slurm'
        )


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise InputError("submitit is not installed; install it with: pip install 'octfluid[cluster]'") from error
    return submitit


@dataclass(frozen=True)
class TrainingJob:
    """What a machine of the cluster does for one run. Called again after a time-out or a preemption, it resumes.

    Attributes:
        run: The run.
        command: The training command.
    """

    run: PlannedRun
    command: tuple[str, ...]

    def __call__(self) -> int:
        """Train, and return the exit status of the training; 0 at once if a job before this one has finished the run."""
        if find_record(self.run) is not None:
            return 0
        process = start(self.run, self.command)
        try:
            return process.wait()
        finally:
            stop([process])

    def checkpoint(self) -> Any:
        """Tell submitit what to run when Slurm has taken the machine away: the same again."""
        return _submitit().helpers.DelayedSubmission(self)


def run_on_cluster(
    runs: Sequence[PlannedRun],
    command: Sequence[str],
    parameters: dict[str, int | str],
    *,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
    cluster: str = 'slurm',
) -> list[Outcome]:
    """Submit every run as a job and wait for all of them.

    A job that another sweep left behind for the same run is never joined by a second one: Slurm starts a job only after
    earlier ones of its name have ended (``--dependency=singleton``), and then finds the record or resumes.

    Args:
        runs: What to run.
        command: The training command, such as ``[sys.executable, 'tools/train.py']``, valid on the cluster's machines.
        parameters: From `parse_parameters`.
        on_outcome: Called after each run.
        cluster: ``slurm``, or ``local`` for submitit's own processes on this machine.

    Returns:
        Outcomes in the order of ``runs``. When interrupted, unfinished jobs are cancelled before the exception goes on.

    Raises:
        InputError: Slurm refuses a job, as for an unknown partition; jobs submitted before it are cancelled.
    """
    if not runs:
        return []
    executor = _executor(runs[0], parameters, cluster)
    jobs: dict[Any, Any] = {}
    outcomes: dict[Any, Outcome] = {}
    try:
        for run in runs:
            jobs[run.folder] = _submit(executor, run, command)
        while len(outcomes) < len(runs):
            for run in runs:
                if run.folder not in outcomes and jobs[run.folder].done():
                    outcomes[run.folder] = _outcome_of_job(run, jobs[run.folder])
                    on_outcome(outcomes[run.folder])
            if len(outcomes) < len(runs):
                time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for folder, job in jobs.items():
            if folder not in outcomes:
                job.cancel(check=False)
    return [outcomes[run.folder] for run in runs]


def _executor(run: PlannedRun, parameters: dict[str, int | str], cluster: str) -> Any:
    executor = _submitit().AutoExecutor(folder=run.work_dir / JOB_FOLDER, cluster=cluster)
    named = {_COMMON_NAMES.get(key, f'slurm_{key}'): [value] if key == 'setup' else value for key, value in parameters.items()}
    executor.update_parameters(**named, slurm_dependency='singleton')
    return executor


def _submit(executor: Any, run: PlannedRun, command: Sequence[str]) -> Any:
    # A name of its own for each run of each work folder, by which Slurm keeps two jobs of one run apart.
    place = hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()[:8]
    executor.update_parameters(name=f'octfluid-{run.config.stem}-{run.name}-{place}')
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints what the error says
            return executor.submit(TrainingJob(run, tuple(command)))
    except _submitit().core.utils.FailedJobError as error:
        raise InputError(f'Slurm refuses the job of {run.config.stem} {run.name}: {" ".join(str(error).split())}') from error


def _outcome_of_job(run: PlannedRun, job: Any) -> Outcome:
    """Return how a job ended: as its training did, or by an error of the job itself."""
    failure = job.exception()
    if failure is None:
        return outcome_of(run, job.result())
    lines = [line.strip() for line in str(failure).splitlines() if line.strip() and not line.startswith('-----')]
    if isinstance(failure, _submitit().core.utils.FailedJobError):
        trace = [line for line in lines if not line.startswith(('You can check', '- ', 'Job (task'))]
        return Outcome(run, 'failed', message=f'{trace[-1]} (job {job.job_id})')
    said = f'; last in its log: {last_error_line(run.log)}' if run.log.is_file() else ''
    return Outcome(run, 'failed', message=f'job {job.job_id} ended without a result ({job.state}){said}')
