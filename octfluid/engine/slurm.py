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

from octfluid.engine.sweep import Outcome, PlannedRun, find_record, last_error_line, outcome_of, start, stopped
from octfluid.utils.errors import InputError

JOB_FOLDER = '.slurm'
"""Below the work folder: the files that submitit and Slurm write about each job."""
_SECONDS_BETWEEN_LOOKS = 1.0
# submitit has its own name for these; all other parameters go to its Slurm executor.
_COMMON = {'time': 'timeout_min', 'gpus_per_node': 'gpus_per_node', 'cpus_per_task': 'cpus_per_task'}


def parse_parameters(items: Sequence[str]) -> dict[str, int | str]:
    """Parse ``KEY=VALUE`` parameters of the jobs, with the names of submitit's Slurm executor; whole numbers become int.

    An InputError asks for ``time``, in minutes, if it is missing: submitit's default of 5 would stop a training.
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
    """Check that this machine can submit jobs: refuse (InputError) one without Slurm's commands."""
    import submitit  # noqa: F401  named in a message if it is missing

    if missing := [name for name in ('sbatch', 'srun', 'scancel') if shutil.which(name) is None]:
        raise InputError(f'no {missing[0]} on this machine; run this on a login node, or without --executor slurm')


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
        InputError: An unknown parameter, or Slurm refuses a job.
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
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        return [outcomes[run.folder] for run in runs]
    finally:
        for folder in jobs.keys() - outcomes.keys():
            jobs[folder].cancel(check=False)


def _submit(run: PlannedRun, command: Sequence[str], parameters: dict[str, int | str], cluster: str) -> Any:
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError

    executor = AutoExecutor(folder=run.work_dir / JOB_FOLDER, cluster=cluster)
    named = {_COMMON.get(key, f'slurm_{key}'): [value] if key == 'setup' else value for key, value in parameters.items()}
    # The name identifies the run and its work folder, so that Slurm keeps two jobs of one run apart.
    place = hashlib.sha256(str(run.folder.resolve()).encode()).hexdigest()[:8]
    name = f'octfluid-{run.config.stem}-{run.name}-{place}'
    try:
        executor.update_parameters(**named, name=name, slurm_dependency='singleton')
        with contextlib.redirect_stderr(io.StringIO()):  # submitit prints the same text as the error has
            return executor.submit(TrainingJob(run, tuple(command)))
    except (AssertionError, NameError) as error:
        raise InputError(f'--slurm: {str(error).splitlines()[0]}') from error
    except FailedJobError as error:
        raise InputError(f'Slurm refuses the job of {run.config.stem} {run.name}: {" ".join(str(error).split())}') from error


def _outcome_of_job(run: PlannedRun, job: Any) -> Outcome:
    if job.exception() is None:
        return outcome_of(run, job.result())
    said = f'; last line of its log: {last_error_line(run.log)}' if run.log.is_file() else ''
    where = f'{run.work_dir / JOB_FOLDER}/{job.job_id}_*'
    return Outcome(run, 'failed', message=f'job {job.job_id} ended without a result ({job.state}), see {where}{said}')
