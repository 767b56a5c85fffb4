"""Killing tools at random moments, and looking at what is left."""

import csv
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from faults import warm
from PIL import Image

from octfluid.records.record import read_records

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A tool that runs in a process of its own."""

    def __init__(self, path, arguments, folder):
        self.output = tempfile.TemporaryFile()  # noqa: SIM115  as long as this lives
        out = self.output.fileno()
        self.connection, self.pid = warm.order(path, list(map(str, arguments)), folder, out, out)
        self.begun = time.monotonic()

    def wait(self, seconds=300):
        """Return its status, negative for a signal; None if it is not done in time."""
        self.connection.settimeout(max(seconds, 1e-3))
        try:
            status = int(warm.read_line(self.connection))
        except TimeoutError:
            return None
        self.seconds = time.monotonic() - self.begun
        return status

    def signal(self, number):
        """Send a signal to it and to its workers, as a terminal does."""
        os.killpg(self.pid, number)

    @property
    def said(self):
        """What it has printed."""
        self.output.seek(0)
        return self.output.read().decode()


class Warm:
    """Starts tools from a process that has imported everything."""

    def __init__(self, folder):
        self.path = str(folder / 'socket')
        environment = os.environ | {'OMP_NUM_THREADS': '1'}
        command = [sys.executable, warm.__file__, 'serve', self.path]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True)
        assert self.server.stdout.readline() == b'ready\n'

    def start(self, *arguments, folder=ROOT):
        """Start a tool, by its path from the repository's root."""
        return Running(self.path, [ROOT / arguments[0], *arguments[1:]], folder)

    def done(self, *arguments, folder=ROOT):
        """Run a tool to its end; returns the finished `Running` and its status."""
        running = self.start(*arguments, folder=folder)
        return running, running.wait()

    def close(self):
        """End it."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()


@dataclass
class Tally:
    """How often a tool was killed, and what was wrong afterwards: nothing, if all is as it should be."""

    kills: int = 0
    finished: int = 0
    wrong: list = field(default_factory=list)
    moments: list = field(default_factory=list)

    @property
    def held(self):
        """Kills after which nothing was wrong."""
        return self.kills - len(self.wrong)


def kill_often(times, seconds, start, look, finish, seed=0):
    """Kill a tool again and again at a random moment, start it anew on what it has left, and let it finish.

    Args:
        times: How often it is killed.
        seconds: What it takes undisturbed; it is killed after 0 to 1.1 times as long.
        start: Starts it, or its resume; returns a `Running`.
        look: Called after each kill; returns what is wrong, or nothing.
        finish: Called with each tool that came to its end; compares, clears the folder, returns what is wrong, or nothing.
        seed: Of the moments.
    """
    draw, tally = random.Random(seed), Tally()
    while tally.kills < times:
        running = start()
        moment = draw.uniform(0, 1.1 * seconds)
        if (status := running.wait(moment)) is None:
            running.signal(signal.SIGKILL)
            status = running.wait()
        if status == -signal.SIGKILL:
            tally.kills += 1
            tally.moments.append(moment)
            tally.wrong += [f'after kill {tally.kills} at {moment:.3f} s: {wrong}' for wrong in [look()] if wrong]
        else:
            _end(tally, running, status, finish)
    running = start()
    _end(tally, running, running.wait(), finish)
    return tally


def _end(tally, running, status, finish):
    tally.finished += 1
    wrong = finish(running, status)
    tally.wrong += [f'finished after kill {tally.kills}: {wrong}\n{running.said}'] if wrong else []


def broken(folder):
    """Return the first file under a final name that cannot be read to its end, None if all can.

    Names that begin with a dot are temporary; logs, and folders of logs, only ever grow, and nothing reads them.
    """
    for path in sorted(folder.rglob('*')):
        parts = path.relative_to(folder).parts
        if path.is_dir() or 'vis_data' in parts or any(part.startswith('.') for part in parts):
            continue
        try:
            _read(path)
        except Exception as error:  # any failure to read is what is looked for
            return f'{path}: {error!r}'
    read_records([folder])
    return None


def _read(path):
    if path.suffix == '.pth':
        from octfluid.engine.checkpoint import read_checkpoint

        assert read_checkpoint(path)['state_dict']
    elif path.suffix == '.png':
        Image.open(path).load()
    elif path.suffix == '.gz':
        gzip.decompress(path.read_bytes())
    elif path.suffix == '.json':
        json.loads(path.read_text())
    elif path.suffix == '.csv':
        rows = list(csv.reader(path.read_text().splitlines()))
        assert rows and len({len(row) for row in rows}) == 1 and path.read_text().endswith('\n')
    elif path.suffix in ('.md', '.html', '.txt'):
        assert path.read_text().endswith('\n')


def contents(folder):
    """Return the bytes of every file whose name does not begin with a dot, by its place."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and not path.name.startswith('.')
    }


def hidden(folder):
    """Return what temporary files and folders are left."""
    return sorted(path.name for path in folder.rglob('.*'))
