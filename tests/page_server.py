"""A page that is served by the command, for tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

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


class Server:
    """A running page: its address, its process, and what it prints."""

    def __init__(self, temporary, *options):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            port = probe.getsockname()[1]
        self.address, self.temporary = f'http://127.0.0.1:{port}', Path(temporary)
        self.log = self.temporary.with_name(f'{self.temporary.name}-{port}.log')
        command = [sys.executable, '-c', WATCHED, str(TOOL), '--port', str(port), *map(str, options)]
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, 'TMPDIR': str(temporary)}
            )
        while f'serving {self.address}' not in self.said():
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)

    def said(self):
        """Everything on stdout and stderr so far."""
        return self.log.read_text()


@contextmanager
def serving(temporary, *options):
    """Serve a page; at the end SIGTERM ends it, nothing is left behind, and nothing has gone to another computer."""
    server = Server(temporary, *options)
    try:
        yield server
    finally:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
    assert server.process.returncode == 143
    assert [path for path in server.temporary.rglob('*') if path.is_file()] == []
    assert 'outside: ' not in server.said()
