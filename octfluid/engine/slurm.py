"""Run a sweep on a Slurm cluster: every run becomes a job, submitted through ``submitit``.

Folders, logs, records, skipping and resuming are those of `octfluid.engine.sweep`. All machines of the cluster must see the
work folder and the data under the same paths.
"""

import contextlib
import hashlib
import io
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octfluid.engine.sweep import Outcome, PlannedRun, find_record, outcome_of, start
from octfluid.utils.errors import InputError
from octfluid.utils.processes import last_error_line, stopped

JOB_FOLDER = '.slurm'
"""Below the work folder: the files that submitit and Slurm write about each job."""
_SECONDS_BETWEEN_LOOKS = 1.0
# submitit has its own name for these; all other parameters go to its Slurm executor.
_COMMON = {'time': 'timeout_min', 'gpus_per_node': 'gpus_per_node', 'cpus_per_task': 'cpus_per_task'}


def parse_parameters(items: Sequence[str]) -> dict[str, int | str]:
    """Parse ``KEY=VALUE`` parameters of the jobs, with the names of submitit's Slurm executor.

    Whole numbers become int. ``time``, in minutes, is required: submitit's default of 5 would stop a training.

    Raises:
        InputError: An item without ``=``, a repeated name, or no valid ``time``.
    """
    parameters: dict[str, int | str] = {}
    for item in items:
        key, _, value = item.partition('=')
        if not key or not value or key in parameters:
            raise InputError(f'--slurm {item}: expected KEY=VALUE, such as partition=gpu, and each KEY once')
        parameters[key] = int(value) if value.isdecimal() else value
    minutes = parameters.get('time')
    if not isinstance(minutes, int) or minutes < 1:
        raise InputError(f'--slurm time={minutes}: expected the whole minutes that one run may take, such as time=240')
    return parameters


def require_slurm() -> None:
    """Check that this machine can submit jobs.

    Raises:
        InputError: ``submitit`` or Slurm's commands are missing.
    """
    _submitit()
    if missing := [name for name in ('sbatch', 'srun', 'scancel') if shutil.which(name) is None]:
        raise InputError(
            f'no {missing[0]} on this machine; run this on a login node of the cluster, or without --executor slurm'
        )


def _submitit() -> Any:
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise InputError("submitit is not installed; install it with: pip install 'octfluid[cluster]'") from error
    return submitit


@dataclass(frozen=True)
class TrainingJob:
    """The work of one job. Slurm runs it again after a time-out or a preemption, and it resumes."""

    run: PlannedRun
    command: tuple[str, ...]

    def __call__(self) -> int:
        """Train and return the exit status; return 0 at once if an earlier job has finished the run."""
        if find_record(self.run) is not None:
            return 0
        process = start(self.run, self.command)
        with stopped(lambda: [process]):
            return process.wait()

    def checkpoint(self) -> Any:
        """Return the job to submit after a preemption: the same one."""
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

    Two jobs never train the same run at once, even after an interrupted sweep: Slurm starts a job only after earlier jobs with
    its name have ended (``--dependency=singleton``). It then finds the record, or resumes.

    ``cluster='local'`` runs the jobs as processes of this machine. An exception, such as Ctrl-C, cancels the unfinished jobs.

    Raises:
        InputError: An unknown parameter, or Slurm refuses a job; submitted jobs are cancelled.
    """
    if not runs:
        return []
    executor = _executor(runs[0], parameters, cluster)
    jobs: dict[Path, Any] = {}
    outcomes: dict[Path, Outcome] = {}
    try:
        for run in runs:
            jobs[run.folder] = _submit(executor, run, command)
        while True:
            for run in runs:
                if run.folder not in outcomes and jobs[run.folder].done():
                    outcomes[run.folder] = _outcome_of_job(run, jobs[run.folder])
                    on_outcome(outcomes[run.folder])
            if len(outcomes) == len(runs):
                return [outcomes[run.folder] for run in runs]
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        for folder in jobs.keys() - outcomes.keys():
            jobs[folder].cancel(check=False)


def _executor(run: PlannedRun, parameters: dict[str, int | str], cluster: str) -> Any:
    executor = _submitit().AutoExecutor(folder=run.work_dir / JOB_FOLDER, cluster=cluster)
    named = {_COMMON.get(key, f'slurm_{key}'): [value] if key == 'setup' else value for key, value in parameters.items()}
    try:
        executor.update_parameters(**named, slurm_dependency='singleton')
    except (AssertionError, NameError) as error:
        raise InputError(f'--slurm: {str(error).splitlines()[0]}') from error
    return executor


def _submit(executor: Any, run: PlannedRun, command: Sequence[str]) -> Any:
    # The name identifies the run and its work folder, so that Slurm keeps two jobs of one run apart.
    place = hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()[:8]
    executor.update_parameters(name=f'octfluid-{run.config.stem}-{run.name}-{place}')
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints the same text as the error has
            return executor.submit(TrainingJob(run, tuple(command)))
    except _submitit().core.utils.FailedJobError as error:
        raise InputError(f'Slurm refuses the job of {run.config.stem} {run.name}: {" ".join(str(error).split())}') from error


def _outcome_of_job(run: PlannedRun, job: Any) -> Outcome:
    failure = job.exception()
    if failure is None:
        return outcome_of(run, job.result())
    lines = [line.strip() for line in str(failure).splitlines() if line.strip() and not line.startswith('-----')]
    if isinstance(failure, _submitit().core.utils.FailedJobError):
        trace = [line for line in lines if not line.startswith(('You can check', '- ', 'Job (task'))]
        return Outcome(run, 'failed', message=f'{trace[-1]} (job {job.job_id})')
    said = f'; last line of its log: {last_error_line(run.log)}' if run.log.is_file() else ''
    return Outcome(run, 'failed', message=f'job {job.job_id} ended without a result ({job.state}){said}')
