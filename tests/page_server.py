"""A page that is served by the command, for tests."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

TOOL = Path(__file__).resolve().parents[1] / 'tools/app.py'
# The command prints a line for every connection and every look-up of a name outside of this computer.
WATCHED = """
import runpy, sys

def watch(event, values):
    if event in ('socket.connect', 'socket.sendto', 'socket.getaddrinfo'):
        where = values[0] if event == 'socket.getaddrinfo' else values[1]
        host = where[0] if isinstance(where, tuple) else where
        if host not in ('127.0.0.1', 'localhost', '::1', None):
            print('outside:', event, where, flush=True)

sys.addaudithook(watch)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@contextmanager
def serving(temporary, *options):
    """Serve a page: its address, and what it has printed. At the end nothing is left behind or has gone elsewhere."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = str(probe.getsockname()[1])
    log = temporary.with_name(f'{temporary.name}-{port}.log')
    server = SimpleNamespace(address=f'http://127.0.0.1:{port}', said=log.read_text)
    command = [sys.executable, '-c', WATCHED, str(TOOL), '--port', port, *map(str, options)]
    with log.open('wb') as output:
        environment = {**os.environ, 'TMPDIR': str(temporary)}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        while f'serving {server.address}' not in server.said():
            assert process.poll() is None, server.said()
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 143
    assert [path for path in temporary.rglob('*') if path.is_file()] == []
    assert 'outside: ' not in server.said()
