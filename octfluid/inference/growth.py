"""How time and memory of prediction grow with the number of B-scans of a volume; measured without torch, as prediction runs."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from octfluid.inference.model import ScanModel


def volume(number: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Make the B-scans of a volume of noise, one after the other: uint8, (height, width)."""
    for place in range(number):
        yield np.random.default_rng(place).integers(0, 256, size, dtype=np.uint8)


def peak_bytes() -> int:
    """Return the most memory that this process has held, in bytes."""
    try:  # What `getrusage` says includes, on Linux, the process that started this one.
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:'))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def predict_volume(number: int, size: tuple[int, int], model: str) -> dict[str, float]:
    """Predict a volume of noise in this process.

    Args:
        number: B-scans.
        size: (height, width) in pixels.
        model: Path of the exported model, ``''`` for the shipped one.

    Returns:
        ``scans``, ``seconds`` of all of them without loading the model, ``peak_bytes`` of the process.
    """
    exported = ScanModel(model or None)
    start = time.perf_counter()
    done = sum(1 for _ in exported.stream(volume(number, size)))
    return dict(scans=done, seconds=time.perf_counter() - start, peak_bytes=peak_bytes())


def measure_growth(
    numbers: Sequence[int], size: tuple[int, int], model: str = '', progress: Callable[[int, int], None] | None = None
) -> list[dict[str, float]]:
    """Predict volumes of several numbers of B-scans, each in a process of its own; returns those of `predict_volume`."""
    found = []
    for number in numbers:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
            found.append(pool.submit(predict_volume, number, size, model).result())
        if progress is not None:
            progress(len(found), len(numbers))
    return found
