import pickle
import stat
import sys

import pytest

from octfluid.engine import sweep as engine
from octfluid.engine.sweep import TrainingJob, parse_parameters, run_on_cluster, split_done
from octfluid.utils.errors import InputError

submitit = pytest.importorskip('submitit')

# Stand in for Slurm's commands: the job runs at once, and what was submitted or cancelled is noted.
SBATCH = """#!{python}
import os, subprocess, sys
from pathlib import Path
text = Path(sys.argv[1]).read_text()
here = Path(__file__).parent
with open(here / 'submitted', 'a') as file:
    file.write(text)
if '--partition=none' in text:
    sys.exit('sbatch: error: invalid partition specified: none')
environment = os.environ | {{'SLURM_JOB_ID': '77'}}
subprocess.Popen(['bash', sys.argv[1]], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print('Submitted batch job 77')
"""
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --unbuffered ]] && shift || shift 2; done
exec "$@" > /dev/null 2>&1
"""
COMMANDS = {
    'sbatch': SBATCH.format(python=sys.executable),
    'srun': SRUN,
    'sacct': '#!/bin/bash\necho "JobID|State|NodeList"; echo "77|RUNNING|here"\n',
    'scancel': '#!/bin/bash\necho "$@" >> "$(dirname "$0")/cancelled"\n',
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Put stand-ins for Slurm's commands on the path; returns their folder."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    for name, text in COMMANDS.items():
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv('PATH', str(folder), prepend=':')
    return folder


def test_a_failed_job_is_an_outcome_and_does_not_stop_the_others(bench):
    bench.behave({'0': 'stop halfway', '1': 'no record'})
    outcomes = run_on_cluster(bench.plan([0, 1, 2]), bench.command, {'time': 5}, cluster='local')
    assert [outcome.status for outcome in outcomes] == ['failed', 'failed', 'done']
    assert outcomes[0].message == 'error: no such data (exit status 2)' and outcomes[2].record['seed'] == 2
    skipped, waiting = split_done(bench.plan([0, 2]))
    assert ([outcome.run.seed for outcome in skipped], [run.seed for run in waiting]) == ([2], [0])


def test_a_job_that_dies_is_an_outcome(bench, monkeypatch):
    monkeypatch.setattr(submitit.LocalJob, '_results_timeout_s', 0)
    bench.behave({'0': 'kill the job'})
    [outcome] = run_on_cluster(bench.plan([0]), bench.command, {'time': 5}, cluster='local')
    assert outcome.status == 'failed' and outcome.message.endswith('; last line of its log: training')


def test_after_a_timeout_the_same_job_resumes(bench):
    bench.behave({'0': 'stop halfway'})
    job = TrainingJob(bench.plan([0])[0], tuple(bench.command))
    assert job() == 2
    again = pickle.loads(pickle.dumps(job)).checkpoint()
    bench.behave({})
    assert again.result() == 0 == job(), 'the last finds the record and trains nothing'
    assert [call['resume'] for call in bench.calls] == [False, True]


def test_jobs_of_slurm(bench, slurm):
    parameters = parse_parameters(['partition=gpu', 'time=90', 'gpus_per_node=1', 'setup=module load cuda', 'constraint=a=b'])
    [outcome] = run_on_cluster(bench.plan([0]), bench.command, parameters)
    assert outcome.status == 'done'
    lines = (slurm / 'submitted').read_text().splitlines()
    for flag in ('partition=gpu', 'time=90', 'gpus-per-node=1', 'dependency=singleton', 'constraint=a=b'):
        assert f'#SBATCH --{flag}' in lines
    assert 'module load cuda' in lines
    [name] = [line for line in lines if 'job-name' in line]
    assert name.startswith('#SBATCH --job-name=octfluid-a-paper_scratch_seed0-')


def test_interrupted_jobs_of_slurm_are_cancelled(bench, slurm, monkeypatch):
    bench.behave({'0': 'parallel'})
    monkeypatch.setattr(engine.time, 'sleep', lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_on_cluster(bench.plan([0]), bench.command, {'time': 5})
    assert (slurm / 'cancelled').read_text() == '77\n'


@pytest.mark.parametrize('wrong', [{'partition': 'none'}, {'partitoin': 'gpu'}])
def test_a_job_that_slurm_refuses_is_one_line(bench, slurm, capfd, wrong):
    with pytest.raises(InputError, match=r'partition|partitoin') as caught:
        run_on_cluster(bench.plan([0]), bench.command, {'time': 5, **wrong})
    assert (capfd.readouterr().err, str(caught.value).count('\n')) == ('', 0)
    assert bench.calls == []


@pytest.mark.parametrize(('items', 'named'), [
    (['partition=gpu'], 'such as time=240'), (['time=1-00:00:00'], 'time=1-00'), (['time=60', 'time=90'], 'time=90'),
])  # fmt: skip
def test_bad_parameters(items, named):
    with pytest.raises(InputError, match=named):
        parse_parameters(items)
