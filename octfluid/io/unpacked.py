"""How much a compressed file may come to, so that a small one cannot fill the memory."""

from pathlib import Path

from octfluid.utils.errors import InputError

ALWAYS_GOOD, TIMES = 1 << 26, 100
"""Bytes that any file may come to, and times its own size that a larger one may: B-scans shrink by a factor of 2 to 20."""


def most_unpacked(path: Path) -> int:
    """Return how many bytes a file may come to."""
    return max(ALWAYS_GOOD, TIMES * path.stat().st_size)


def require_unpacked(size: int, path: Path) -> None:
    """Refuse a file that comes to far more than it holds.

    Args:
        size: Bytes, as its headers promise or as counted.
        path: The file.

    Raises:
        InputError: It is more than `most_unpacked`.
    """
    if size > most_unpacked(path):
        raise InputError(
            f'{path}: comes to {size / 1e6:.0f} MB or more from {path.stat().st_size / 1e6:.3f} MB, as no scan does; '
            'it is damaged or made to fill the memory: export it again'
        )
