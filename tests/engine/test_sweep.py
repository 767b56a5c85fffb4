import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from octfluid.engine import sweep as engine
from octfluid.engine.sweep import MARKER, SUPERSEDED, Resolved, find_record, has_room, plan_runs, split_done
from octfluid.records.record import write_record
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError


def test_plan_gives_each_config_split_and_seed_its_folder_and_command(tmp_path):
    weights = tmp_path / 'my weights.pth'
    torch.save({'a': torch.zeros(1)}, weights)
    asked = []

    def resolve(config, split, init, options):
        asked.append((config.name, split, init, tuple(options)))
        return Resolved('a' * 64, split, str(weights), Path('data'))

    options = dict(splits=['paper', 'subject01'], init='x.pth', amp='auto', options=['k=v'], resolve=resolve)
    runs = plan_runs(['c/a.py', 'c/b.py'], [0, 7], Path('w'), **options)
    assert len(runs) == 8 and len({run.folder for run in runs}) == 8
    assert asked == [(c, s, 'x.pth', ('k=v',)) for c in ('a.py', 'b.py') for s in ('paper', 'subject01')]
    run = runs[3]
    assert run.folder == Path('w/a/subject01_my-weights_seed7')
    assert run.identity == {
        'config_sha256': 'a' * 64, 'split': 'subject01', 'seed': 7, 'init': {'sha256': file_sha256(weights)}
    }  # fmt: skip
    assert run.command(['train'], resume=True) == [
        'train', 'c/a.py', '--work-dir', 'w/a/subject01_my-weights_seed7', '--resume', '--seed', '7', '--split', 'subject01',
        '--init', 'x.pth', '--amp', 'auto', '--cfg-options', 'k=v',
    ]  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), [
    ({'seeds': [0, 1, 0]}, 'seeds given more than once: 0'),
    ({'splits': ['paper', 'paper']}, 'splits given more than once: paper'),
    ({'configs': ['x/a.py', 'y/a.py']}, 'config names given more than once: a'),
])  # fmt: skip
def test_plan_refuses_runs_that_would_share_a_folder(bench, arguments, message):
    with pytest.raises(InputError, match=message):
        bench.plan(**arguments)


@pytest.mark.parametrize('changes', [
    {'config_sha256': '9' * 64}, {'split': 'other'}, {'variant': 'tta'}, {'kind': 'test'}, {'seed': 5},
    {'init': {'source': 'other', 'name': 'a.pth', 'sha256': '9' * 64, 'loaded': 1, 'total': 1}},
])  # fmt: skip
def test_a_record_of_another_run_does_not_count(bench, changes):
    run = bench.plan([0])[0]
    write_record(bench.make_record(), run.folder / 'r.json')
    assert find_record(run) is not None
    write_record(bench.make_record(**changes), run.folder / 'r.json')
    assert find_record(run) is None


@pytest.mark.parametrize('kind', ['file', 'url'])
def test_initial_weights_are_known_by_their_content_or_their_address(bench, hrf_weights, tmp_path, kind):
    torch.save({'a': torch.zeros(1)}, tmp_path / 'w.pth')
    url = 'https://example.org/w.pth'
    bench.resolved = Resolved('a' * 64, 'paper', str(tmp_path / 'w.pth') if kind == 'file' else url, Path('data'))
    run = bench.plan([0])[0]
    same = hrf_weights | ({'sha256': file_sha256(tmp_path / 'w.pth')} if kind == 'file' else {'name': url})
    write_record(bench.make_record(init=same), run.folder / 'r.json')
    assert find_record(run) is not None
    for other in (hrf_weights, None):
        write_record(bench.make_record(init=other), run.folder / 'r.json')
        assert find_record(run) is None


def test_a_failed_run_does_not_stop_the_others_and_is_reported_with_its_error(bench):
    bench.behave({'0': 'fail', '1': 'crash', '2': 'no record'})
    outcomes = bench.sweep([0, 1, 2, 3])
    assert [outcome.status for outcome in outcomes] == ['failed', 'failed', 'failed', 'done']
    assert outcomes[0].message == 'error: no such data (exit status 2)'
    assert outcomes[1].message == 'ValueError: boom (exit status 1)'
    # A broken record of a finished run, as after a full disk, fails that run only, and training does not replace it.
    broken = outcomes[3].run.folder / 'train_paper_scratch_400i_seed3.json'
    broken.write_text('{"schema": "octfluid.run/1", ')
    bench.behave({})
    known, waiting = split_done(bench.plan([0, 3]))
    assert [outcome.status for outcome in known] == ['failed'] and str(broken) in known[0].message
    assert [run.seed for run in waiting] == [0]
    assert [outcome.status for outcome in bench.sweep([0, 3])] == ['done', 'failed']
    assert broken.read_text() == '{"schema": "octfluid.run/1", '


def test_an_unfinished_run_is_resumed_and_its_log_goes_on(bench):
    bench.behave({'0': 'stop halfway', '1': 'fail'})
    bench.sweep()
    bench.behave({})
    assert [outcome.status for outcome in bench.sweep()] == ['done', 'done']
    assert [(call['seed'], call['resume']) for call in bench.calls] == [(0, False), (1, False), (0, True), (1, False)]
    folder = bench.folder / 'work' / 'a'
    assert (folder / 'paper_scratch_seed0' / 'train.log').read_text().count('training') == 2
    assert (folder / 'paper_scratch_seed1' / 'train.log').read_text().count('training') == 1


@pytest.mark.parametrize('change', ['config', 'precision', 'unknown'])
def test_what_another_run_left_is_put_aside_and_not_resumed(bench, change):
    bench.behave({'0': 'stop halfway'})
    bench.sweep([0])
    bench.behave({})
    folder = bench.plan([0])[0].folder
    if change == 'config':
        bench.resolved = Resolved('9' * 64, 'paper', None, Path('data'))
        bench.record(config_sha256='9' * 64)
    if change == 'unknown':
        (folder / MARKER).unlink()
    outcomes = bench.sweep([0], amp='on' if change == 'precision' else None)
    assert [outcome.status for outcome in outcomes] == ['done']
    assert [call['resume'] for call in bench.calls] == [False, False]
    assert (bench.folder / 'work' / SUPERSEDED / 'a' / 'paper_scratch_seed0_1' / 'last_checkpoint').is_file()
    assert not (folder / 'last_checkpoint').exists()


def test_parallel_jobs_overlap_and_share_gpus_and_cores(bench):
    bench.behave({str(seed): 'parallel' for seed in range(3)})
    outcomes = bench.sweep(range(3), jobs=2, gpus=['5', '7'])
    assert [outcome.run.seed for outcome in outcomes] == [0, 1, 2]
    calls = sorted(bench.calls, key=lambda call: call['seed'])
    assert calls[0]['start'] < calls[1]['end'] and calls[1]['start'] < calls[0]['end']
    assert calls[2]['start'] > min(calls[0]['end'], calls[1]['end'])
    assert [(call['gpu'], call['order']) for call in calls[:2]] == [('5', 'PCI_BUS_ID'), ('7', 'PCI_BUS_ID')]
    assert {call['threads'] for call in calls} == {str(max(1, len(os.sched_getaffinity(0)) // 2))}


def test_what_did_not_fit_next_to_others_is_run_once_more_alone(bench):
    bench.behave({'0': 'no memory', '1': 'parallel', '2': 'parallel'})
    assert [outcome.status for outcome in bench.sweep(range(3), jobs=2, gpus=['0'])] == ['done'] * 3
    last = bench.calls[-1]
    assert last['seed'] == 0 and last['start'] > max(call['end'] for call in bench.calls[:-1])
    bench.behave({'3': 'no memory'})
    assert [outcome.status for outcome in bench.sweep([3])] == ['failed'], 'it was alone'


@pytest.mark.parametrize(
    ('log', 'free', 'room'),
    [('', 9000, False), ('memory: 1000', 2300, True), ('memory: 1000', 2200, False), (' Iter(train) [10/20]', 0, True)],
)
def test_a_gpu_is_shared_once_it_is_known_what_a_run_takes(bench, monkeypatch, log, free, room):
    """A second run of 1000 MB needs a fifth more, and 1024 MB for its process."""
    tool, run = bench.folder / 'nvidia-smi', bench.plan([0])[0]
    tool.write_text(f'#!/bin/bash\n[[ $* == *--id=1 ]] && echo {free}\n')
    tool.chmod(0o755)
    monkeypatch.setenv('PATH', str(bench.folder), prepend=os.pathsep)
    run.folder.mkdir(parents=True)
    run.log.write_text(f'memory: 10{log}')
    assert has_room('1', [(run, 10)], 0) == room


def test_an_interrupt_stops_the_running_trainings(bench, monkeypatch):
    bench.behave({'0': 'wait'})
    note, pids = bench.plan([0])[0].folder / 'pid', []

    def interrupt_once_it_runs(seconds, sleep=time.sleep):
        sleep(seconds)
        if not pids and note.is_file() and note.read_text():
            pids.append(int(note.read_text()))
            raise KeyboardInterrupt

    monkeypatch.setattr(engine.time, 'sleep', interrupt_once_it_runs)
    with pytest.raises(KeyboardInterrupt):
        bench.sweep([0])
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_a_run_that_another_process_trains_is_waited_for_and_not_repeated(bench):
    run = bench.plan([0])[0]
    hold = (
        'import sys, time; from pathlib import Path; from octfluid.utils.lock import locked\n'
        'with locked(sys.argv[1]):\n'
        '    print("held", flush=True); time.sleep(1)\n'
        '    Path(sys.argv[1], "r.json").write_bytes(Path(sys.argv[2]).read_bytes())'
    )
    command = [sys.executable, '-c', hold, str(run.folder), str(bench.folder / 'record.json')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == 'held\n'
        outcomes = bench.sweep([0, 1])
    assert [outcome.status for outcome in outcomes] == ['skipped', 'done']
    assert [call['seed'] for call in bench.calls] == [1]
