"""How many trainings a GPU, or the machine, holds at once: found out from the memory that those which run take."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from octfluid.utils.errors import InputError

SPARE = 1.15
"""A training that has begun may take this times as much later, as in its scoring."""
_BEGUN = b'Iter(train)'


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def gpu_memory(gpu: str) -> tuple[int, int]:
    """Return (used, total) bytes of a GPU, by its number or UUID, of all processes.

    Raises:
        InputError: nvidia-smi does not say.
    """
    command = ['nvidia-smi', '--query-gpu=memory.used,memory.total', '--format=csv,noheader,nounits', f'--id={gpu}']
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        used, total = (int(number) << 20 for number in done.stdout.strip().split(','))
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise InputError(f'--jobs auto: nvidia-smi does not say how much memory GPU {gpu} has; expected --jobs N') from error
    return used, total


def machine_memory() -> tuple[int, int]:
    """Return (used, total) bytes of the machine's memory; what the system can take back counts as free.

    Raises:
        InputError: The system does not say; Linux does.
    """
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
        kibibytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(':') for line in lines)}
        total, free = kibibytes['MemTotal'], kibibytes['MemAvailable']
    except (OSError, KeyError, ValueError) as error:
        raise InputError('--jobs auto: this system does not say how much memory is free; expected --jobs N') from error
    return (total - free) << 10, total << 10


@dataclass
class Room:
    """Where runs work side by side.

    Attributes:
        gpu: Value for CUDA_VISIBLE_DEVICES, None leaves it alone.
        most: Runs at once, whatever the memory.
        memory: Returns (used, total) bytes; None: memory is not looked at.
    """

    gpu: str | None = None
    most: int = 1
    memory: Callable[[], tuple[int, int]] | None = None
    _before: int = field(default=0, init=False)
    _each: float = field(default=0.0, init=False)

    def has_space(self, logs: Sequence[tuple[Path, int]]) -> bool:
        """Tell whether one more run may start.

        The first works alone until its training has begun; from then on the most that one has taken, and `SPARE`, decides.

        Args:
            logs: Of the runs that work here now: the log file, and the byte where this start of the run began to write.
        """
        if self.memory is None or len(logs) >= self.most:
            return len(logs) < self.most
        used, total = self.memory()
        if not logs:
            self._before = used
            return True
        if all(_has_begun(log, start) for log, start in logs):
            self._each = max(self._each, (used - self._before) / len(logs))
        return self._each > 0 and self._before + (len(logs) + 1) * self._each * SPARE <= total


def _has_begun(log: Path, start: int) -> bool:
    try:
        return _BEGUN in log.read_bytes()[start:]
    except OSError:
        return False


def fixed_rooms(jobs: int, gpus: Sequence[str]) -> list[Room]:
    """Make a room for each of ``jobs`` runs, and share the GPUs out among them in turn."""
    return [Room(gpus[slot % len(gpus)] if gpus else None) for slot in range(jobs)]


def measured_rooms(gpus: Sequence[str], environment: Mapping[str, str] = os.environ) -> list[Room]:
    """Make a room of each GPU, or of the machine if it has none, that holds as many runs as fit into its memory.

    Args:
        gpus: Numbers or UUIDs; empty: those of CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists.
        environment: Of this process.

    Returns:
        Rooms for at most one run for every two cores (a training and what loads its scans) or, without GPUs, for each core.

    Raises:
        InputError: The memory is not known.
    """
    gpus = list(gpus) or _visible_gpus(environment)
    if not gpus:
        machine_memory()
        return [Room(most=cores(), memory=machine_memory)]
    rooms = [Room(gpu, max(1, cores() // 2 // len(gpus)), lambda gpu=gpu: gpu_memory(gpu)) for gpu in gpus]
    for room in rooms:
        room.memory()
    return rooms


def _visible_gpus(environment: Mapping[str, str]) -> list[str]:
    if 'CUDA_VISIBLE_DEVICES' in environment:
        return [gpu.strip() for gpu in environment['CUDA_VISIBLE_DEVICES'].split(',') if gpu.strip() not in ('', '-1')]
    if not shutil.which('nvidia-smi'):
        return []
    done = subprocess.run(['nvidia-smi', '--query-gpu=index', '--format=csv,noheader'], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []
