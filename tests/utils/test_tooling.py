import argparse
import errno
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from octfluid.utils.cli import EXTRAS, ToolParser, begin_launched, exit_status_of
from octfluid.utils.errors import InputError, WorkError


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(('error', 'status', 'line'), [
    (InputError('bad input'), 2, 'error: bad input\n'),
    (WorkError('failed'), 1, 'error: failed\n'),
    (InputError('two\n  lines'), 2, 'error: two lines\n'),
    (OSError(errno.ENOSPC, 'No space left on device', 'out.pth'), 1,
     'error: No space left on device (out.pth); files written before this are intact\n'),
    (OSError(errno.EISDIR, 'Is a directory', '.tmp-octfluid-x.pth', None, 'out.pth'), 1,
     'error: Is a directory (out.pth); files written before this are intact\n'),
    (KeyboardInterrupt(), 130, 'error: interrupted\n'),
    (ModuleNotFoundError("No module named 'mmseg.datasets'", name='mmseg.datasets'), 2,
     "error: this needs the package 'mmseg'; install it with pip install 'octfluid[train]'\n"),
])  # fmt: skip
def test_failure_is_one_line(error, status, line, capsys):
    assert exit_status_of(failing(error)) == status
    assert capsys.readouterr() == ('', line)


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_status_of(failing(ZeroDivisionError()))
    with pytest.raises(ModuleNotFoundError):
        exit_status_of(failing(ModuleNotFoundError(name='octfluid.typo')))


def test_every_extra_that_tools_name_exists():
    project = tomllib.loads((Path(__file__).resolve().parents[2] / 'pyproject.toml').read_text())['project']
    extras = {name: ' '.join(packages) for name, packages in project['optional-dependencies'].items()}
    assert EXTRAS.keys() == extras.keys() - {'dev'}
    names = {'mmseg': 'onedl-mmsegmentation', 'oct_converter': 'eyepy[fda]'}
    for extra, packages in EXTRAS.items():
        assert all(names.get(package, package) in extras[extra] for package in packages), extra


PRINTS = 'import sys; from octfluid.utils.cli import *; sys.exit(exit_status_of(lambda: print(%s)))'


def test_a_name_that_the_terminal_cannot_show_is_no_error():
    environment = {**os.environ, 'PYTHONIOENCODING': 'ascii:strict'}
    done = subprocess.run([sys.executable, '-c', PRINTS % r'"\u00b1 \ud800"'], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, '\\xb1 \\ud800\n', '')


@pytest.mark.parametrize('content', ['1', r'"x\n" * 10**6'])
def test_a_reader_that_leaves_is_no_error(content):
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with subprocess.Popen([sys.executable, '-c', f'import sys; sys.stdin.read(); {PRINTS % content}'], **pipes) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b''
    assert process.returncode == 1


@pytest.mark.parametrize(('launcher', 'variables'), [
    ('pytorch', ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')),
    ('slurm', ('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS')),
    ('mpi', ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE')),
])  # fmt: skip
def test_the_processes_of_a_launcher(launcher, variables, monkeypatch):
    monkeypatch.setattr(os, 'environ', {'LOCAL_RANK': '7'})
    args = argparse.Namespace(launcher=launcher, local_rank=0)
    for rank, local in ('0', '0'), ('5', '1'):
        os.environ.update(zip(variables, (rank, local, '8'), strict=True))
        assert begin_launched(args) == (rank == '0')
        assert [os.environ[name] for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE')] == [rank, local, '8']
    del os.environ[variables[0]]
    with pytest.raises(InputError, match=variables[0]):
        begin_launched(args)
    assert begin_launched(argparse.Namespace(launcher='none', local_rank=0)), 'no other would print the result'
    assert os.environ['LOCAL_RANK'] == '0', 'mmengine would look for another GPU'


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_tool_with_everything_put_away(number, status, listening):
    code = (
        'import sys, time; from octfluid.utils.cli import exit_status_of\n'
        'def main():\n'
        '    try:\n        print("ready", flush=True); time.sleep(30)\n'
        '    finally:\n        print("put away", flush=True)\n'
        'sys.exit(exit_status_of(main))'
    )
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, '-c', code], preexec_fn=listening, **pipes)
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (status, 'put away\n')
    assert err.startswith('error: interrupted') and err.count('\n') == 1


def test_an_ignored_signal_stays_ignored_and_handlers_come_back():
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        inside = []
        exit_status_of(lambda: inside.extend(map(signal.getsignal, (signal.SIGHUP, signal.SIGTERM))))
        assert inside[0] == signal.SIG_IGN and callable(inside[1])
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, earlier)


def test_bad_argument_is_one_line_with_status_2(capsys):
    parser = ToolParser('Does it.', 'python tools/do.py x')
    parser.prog = 'do.py'
    parser.add_argument('--number', type=int)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(['--number', 'x'])
    assert caught.value.code == 2
    assert capsys.readouterr() == ('', "error: argument --number: invalid int value: 'x' (see do.py --help)\n")
