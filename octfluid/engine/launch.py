"""How soon the command line tools begin: ``--help``, and a training's first iteration."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from octfluid.utils.errors import WorkError

_FIRST = re.compile(r'Iter\(train\).* time: (?P<time>[\d.]+) .*?data_time: (?P<waited>[\d.]+)')


def seconds_of_help(tool: Path) -> float:
    """Return the seconds that a tool's ``--help`` takes.

    Raises:
        WorkError: It fails.
    """
    start = time.perf_counter()
    done = subprocess.run([sys.executable, tool, '--help'], capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise WorkError(f'{tool.name} --help: exit status {done.returncode}, {_last_line(done.stderr)}')
    return seconds


def seconds_to_train(tool: Path, config: str, options: Sequence[str]) -> float:
    """Return the seconds from the start of a training's process to that of its first iteration, whose batch is there.

    Args:
        tool: ``train.py``; it starts from random weights and is stopped after the first iteration.
        config: The config file.
        options: ``KEY=VALUE`` overrides.

    Raises:
        WorkError: It ends before that.
    """
    with tempfile.TemporaryDirectory(prefix='octfluid-benchmark-') as folder:
        command = [sys.executable, str(tool), config, '--init', 'none', '--work-dir', folder, '--cfg-options', *options]
        start = time.perf_counter()
        process = subprocess.Popen(
            [*command, 'default_hooks.logger.interval=1'],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            lines = []
            for line in process.stdout:
                if found := _FIRST.search(line):
                    computing = float(found['time']) - float(found['waited'])
                    return time.perf_counter() - start - computing
                lines.append(line)
            raise WorkError(f'train.py {config}: it ended before its first iteration, {_last_line("".join(lines))}')
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # its loader workers too
            process.wait()
            process.stdout.close()


def _last_line(text: str) -> str:
    return ([line for line in text.splitlines() if line.strip()] or ['without a word'])[-1].strip()


def measure_launch(
    tools: Path, config: str, options: Sequence[str], repeats: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, list[float]]:
    """Start every tool some times, after once that is not measured.

    Args:
        tools: Folder of the tools.
        config: Config to train.
        options: ``KEY=VALUE`` overrides for it.
        repeats: Measured starts of each, at least 1.
        progress: Called with (starts done, starts in all).

    Returns:
        The seconds of each start by command.
    """
    starts = {f'{tool.name} --help': lambda tool=tool: seconds_of_help(tool) for tool in sorted(tools.glob('*.py'))}
    starts[f'train.py {config}'] = lambda: seconds_to_train(tools / 'train.py', config, options)
    found, done = {}, 0
    for command, start in starts.items():
        found[command] = []
        for _ in range(repeats + 1):
            found[command].append(start())
            done += 1
            if progress is not None:
                progress(done, len(starts) * (repeats + 1))
        del found[command][0]
    return found
