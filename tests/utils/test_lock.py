import os
import re
import signal
import subprocess
import sys

import pytest

from octfluid.utils.errors import InputError
from octfluid.utils.lock import TEMPORARY, is_locked, locked, occupied

HOLD = """
import os, sys, time
from octfluid.utils.lock import locked
with locked(sys.argv[1]):
    if os.fork() == 0:
        time.sleep(30)  # a worker that outlives its killed parent
        os._exit(0)
    print('held', flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path` until its input ends."""
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen([sys.executable, '-c', HOLD, str(tmp_path)], start_new_session=True, **pipes)
    assert process.stdout.readline() == 'held\n'
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_second_process_is_kept_out(holder, tmp_path):
    assert is_locked(tmp_path)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))), locked(tmp_path):
        pytest.fail('the block must not run')
    assert (tmp_path / '.lock').exists(), 'the lock of the other process has been removed'


def test_the_lock_of_a_killed_process_keeps_nobody_out(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / '.lock').exists()
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_and_what_fails_lets_go(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / 'new'):
        raise RuntimeError
    assert not (tmp_path / 'new').exists()
    with locked(tmp_path / 'new'):
        (tmp_path / 'new' / 'result').touch()
    assert os.listdir(tmp_path / 'new') == ['result']
    assert not is_locked(tmp_path / 'nowhere')


def test_what_is_half_written_goes_before_and_after(tmp_path):
    (tmp_path / '.tmp-mine').touch()
    place = tmp_path / f'{TEMPORARY}1'
    place.touch()
    with pytest.raises(KeyboardInterrupt), occupied(tmp_path):
        assert not place.exists()
        place.touch()
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ['.tmp-mine']
