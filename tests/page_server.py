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
# The command, with a line in its log for every connection and every look-up of a name that leaves this computer.
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


def _listen():
    """Hear Ctrl-C even if whoever started the tests (nohup, a shell's background) has it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Server:
    """A running page: its address, its process, where its temporary files are, and what it says."""

    def __init__(self, temporary, *options):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        self.address, self.temporary = f'http://127.0.0.1:{self.port}', Path(temporary)
        self.log = self.temporary.with_name(f'{self.temporary.name}-{self.port}.log')
        command = [sys.executable, '-c', WATCHED, str(TOOL), '--port', str(self.port), *map(str, options)]
        environment = {**os.environ, 'TMPDIR': str(temporary)}
        with self.log.open('wb') as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, preexec_fn=_listen)
        while f'serving {self.address}' not in self.said():
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)

    def said(self):
        """Everything on stdout and stderr so far."""
        return self.log.read_text()

    def files(self):
        """Temporary files but the lock."""
        return [path for path in self.temporary.rglob('*') if path.is_file() and path.name != 'lock']

    def memory(self):
        """Resident bytes, as Linux says."""
        return int(Path(f'/proc/{self.process.pid}/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def processor_seconds(self):
        """Seconds of all cores that it has worked, as Linux says."""
        fields = Path(f'/proc/{self.process.pid}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@contextmanager
def serving(temporary, *options):
    """Serve a page; ended by SIGTERM unless it has ended before."""
    server = Server(temporary, *options)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)
