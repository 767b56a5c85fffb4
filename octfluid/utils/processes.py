"""Processes that a tool starts: stop them with their children, and quote their logs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_SECONDS_TO_STOP = 60  # a training finishes its step and writes a checkpoint


@contextmanager
def stopped(processes: Callable[[], Sequence[subprocess.Popen]]) -> Iterator[None]:
    """When the block ends, terminate the processes that still run, with their children; kill them if that takes too long."""
    try:
        yield
    finally:
        left = processes()
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in (one for one in left if one.poll() is None):
                with suppress(ProcessLookupError):  # it ended between the two calls
                    os.killpg(process.pid, number)
            for process in left:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(1.0, deadline - time.monotonic()))


def last_error_line(log: Path) -> str:
    """Return the last line of a log that starts with ``error:``, else its last line that is not empty."""
    with open(log, 'rb') as file:
        file.seek(max(0, log.stat().st_size - 65536))
        text = file.read().decode('utf-8', errors='replace')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return ([line for line in lines if line.startswith('error:')] or lines or ['(the log is empty)'])[-1]
