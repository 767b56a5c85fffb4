import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

pytest.importorskip('fcntl', reason='no such locks on this system')
from octfluid.webapp.folder import delete_old_files, server_folder

CODE = """
import time
from octfluid.webapp.folder import server_folder
with server_folder() as folder:
    (folder / 'scan.png').write_bytes(b'1')
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_server(tmp_path):
    """Another process that has a folder: (process, folder)."""
    environment = os.environ | {'TMPDIR': str(tmp_path)}
    with subprocess.Popen([sys.executable, '-c', CODE], stdout=subprocess.PIPE, text=True, env=environment) as process:
        folder = process.stdout.readline().strip()
        yield process, tmp_path / os.path.basename(folder)
        process.kill()


def test_a_folder_is_its_owners_and_gone_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    with server_folder() as folder:
        (folder / 'scan.png').write_bytes(b'1')
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_goes_with_the_next_start_and_nothing_of_a_running_one(tmp_path, monkeypatch, other_server):
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    (tmp_path / 'octfluid-page-notes').mkdir()  # not a server's: it has no lock
    process, theirs = other_server
    with server_folder():
        assert (theirs / 'scan.png').exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (theirs / 'scan.png').exists()
    with server_folder():
        assert not theirs.exists()
    assert [path.name for path in tmp_path.iterdir()] == ['octfluid-page-notes']


def test_old_files_go_and_young_ones_stay(tmp_path):
    for name in ('old/a.png', 'mixed/b.png'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b'1')
    time.sleep(0.3)
    (tmp_path / 'mixed/c.png').write_bytes(b'1')
    delete_old_files(tmp_path, 0.25)
    assert [path.name for path in tmp_path.rglob('*') if path.is_file()] == ['c.png']
    time.sleep(0.3)
    delete_old_files(tmp_path, 0.25)
    assert list(tmp_path.rglob('*.png')) == []
