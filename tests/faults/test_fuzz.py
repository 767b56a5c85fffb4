"""Changed files of every kind, read in child processes: only our own errors come out, soon and with little memory."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
pytest.importorskip('onnx')
from faults.fuzz_child import MOST_BYTES, MOST_SECONDS
from faults.ledger import budget, note
from fuzz_targets import TARGETS

CHILD = Path(__file__).with_name('fuzz_child.py')
HANGS = 20  # seconds without a word
SPAWNED = budget(2, 1)


def watch(name, first, end, folder, wrong):
    """Read every `SPAWNED`th number in a child, again from the next one on where it dies or hangs; yields what each says."""
    folder.mkdir()
    while first < end:
        command = [sys.executable, CHILD, name, *map(str, (first, end, SPAWNED)), folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            yield None
            now, since = '', time.monotonic()
            while child.poll() is None:
                reached = (folder / 'number').read_text() if (folder / 'number').exists() else ''
                now, since = (reached, time.monotonic()) if reached != now else (now, since)
                if time.monotonic() - since > HANGS:
                    child.send_signal(signal.SIGKILL)
                yield None
            said = [json.loads(line) for line in child.stdout if line.startswith('{"')]  # libraries print there, too
        wrong += [line for line in said if 'wrong' in line]
        if child.returncode == 0:
            yield said[-1]
            return
        number = int((folder / 'number').read_text())
        wrong.append(dict(number=number, wrong=f'the process ended with {child.returncode}'))
        first = number + SPAWNED


def fuzz(name, number, folder):
    """Return what the children say at their ends, and what went wrong."""
    wrong, ended = [], []
    children = [watch(name, first, number, folder / str(first), wrong) for first in range(SPAWNED)]
    while children:
        for child in list(children):
            try:
                said = next(child)
            except StopIteration:
                children.remove(child)
                continue
            ended += [said] if said else []
        time.sleep(0.05)
    return ended, wrong


@pytest.mark.parametrize('name', TARGETS)
def test_only_our_own_errors_come_out_of_a_changed_file(name, tmp_path):
    number = budget(20_000, 300)
    ended, wrong = fuzz(name, number, tmp_path)
    tried = sum(end['tried'] for end in ended)
    slowest, peak = (max(end[key] for end in ended) for key in ('slowest', 'peak'))
    command = f'python -m pytest tests -m faults -k "test_fuzz and {name}"'
    figures = dict(slowest_seconds=slowest, peak_mb=round(peak / 1e6), read_all_the_same=sum(end['good'] for end in ended))
    note('fuzz', f'{name}: changed files', tried, tried - len(wrong), command, **figures)
    assert wrong == []
    assert tried == number and slowest < MOST_SECONDS and peak < MOST_BYTES
    assert any(end['good'] for end in ended), 'no changed file gets far enough to be read'


def test_a_child_that_dies_or_hangs_is_noticed(tmp_path, monkeypatch):
    program = (
        'import os, sys, time\n'
        'first, end, step, folder = int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]\n'
        'for number in range(first, end, step):\n'
        '    open(folder + "/number", "w").write(str(number))\n'
        '    if number in (2, 3): os.abort()\n'
        '    if number in (6, 7): time.sleep(60)\n'
        'print(\'{"tried": 1, "good": 1, "slowest": 0, "peak": 1}\')\n'
    )
    (tmp_path / 'child.py').write_text(program)
    monkeypatch.setattr(sys.modules[__name__], 'CHILD', tmp_path / 'child.py')
    monkeypatch.setattr(sys.modules[__name__], 'HANGS', 1.5)
    monkeypatch.setattr(sys.modules[__name__], 'SPAWNED', 1)
    wrong = []
    said = [line for line in watch('vol', 2, 8, tmp_path / 'x', wrong) if line]
    assert said == []  # nothing is left to read after the last
    assert [(one['number'], one['wrong'].rpartition(' ')[2]) for one in wrong] == [
        (2, '-6'), (3, '-6'), (6, '-9'), (7, '-9'),
    ]  # fmt: skip
