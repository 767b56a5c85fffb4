"""One process at a time in a folder, and no remains of killed ones."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from octfluid.utils.errors import InputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows, where a folder is not locked
    fcntl = None

LOCK = '.lock'
TEMPORARY = '.tmp-octfluid-'
"""How names of half-written files begin; no other names do, so that the remains of a killed process can be removed."""


@contextmanager
def locked(folder: str | os.PathLike, name: str = LOCK, shown: str | os.PathLike | None = None) -> Iterator[None]:
    """Keep other processes out of a folder while the block runs; the lock ends with this process, however that ends.

    Args:
        folder: Created when missing, and then removed if it is still empty.
        name: Of the file in it that is locked; removed at the end.
        shown: Named in the InputError if another process uses the folder; None: the folder.
    """
    path = Path(folder) / name
    made_here = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _take(path, shown or folder)
    try:
        yield
    finally:
        with suppress(OSError):  # the file system may be full or gone: the lock ends all the same
            path.unlink()
        os.close(handle)
        with suppress(OSError):  # the folder holds something by now
            if made_here:
                path.parent.rmdir()


@contextmanager
def occupied(folder: str | os.PathLike) -> Iterator[None]:
    """Lock a folder as `locked` does, and clear what this or a killed process leaves half-written in it."""
    with locked(folder):
        remove_left_over(folder)
        try:
            yield
        finally:  # a signal may come between the making of a file and the block that removes it
            remove_left_over(folder)


def remove_left_over(folder: str | os.PathLike) -> None:
    """Remove what begins with `TEMPORARY` in a folder (not below it) that no other process works in."""
    for path in Path(folder).glob(f'{TEMPORARY}*'):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_locked(folder: str | os.PathLike) -> bool:
    """Return whether another process has locked a folder."""
    try:
        with locked(folder) if Path(folder, LOCK).exists() else nullcontext():
            return False
    except InputError:
        return True


def _take(path: Path, shown: str | os.PathLike) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl is None:
                return handle
            # Not flock: that would be held by workers, too, which outlive a killed process by some seconds.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(handle)):
                    return handle
        except (BlockingIOError, PermissionError) as error:
            os.close(handle)
            raise InputError(f'{shown}: another process uses this folder; wait for it, or choose another folder') from error
        os.close(handle)  # the process that held it has removed the file since: take the next one
