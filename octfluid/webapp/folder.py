"""The folder of a running server: its uploads and results, gone when it ends, however it ends."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # on Windows, where what a killed server leaves is left to the system
    fcntl = None

_PREFIX, _LOCK = 'octfluid-page-', 'lock'


def _clear_up_after_the_killed(parent: Path) -> None:
    """Delete the folders of servers that were killed before they could; those that run hold a lock, which dies with them."""
    for folder in parent.glob(f'{_PREFIX}*'):
        lock = folder / _LOCK
        try:
            if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
                continue
            with lock.open('r+b') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # it is held, or is none of ours
            continue


@contextmanager
def server_folder() -> Iterator[Path]:
    """Yield a new folder that none but its owner can look into, and delete it at the end; as those of servers that were killed.

    Raises:
        OSError: There is no place for temporary files.
    """
    parent = Path(tempfile.gettempdir())
    if fcntl:
        _clear_up_after_the_killed(parent)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True) as name,
        (Path(name) / _LOCK).open('w+b') as file,
    ):
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield Path(name)


def delete_old_files(folder: Path, seconds: float) -> None:
    """Delete the files below a folder that nothing was written to for long, and the folders that were left empty."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent) / name
            try:
                if time.time() - path.lstat().st_ctime > seconds:
                    path.unlink()
            except FileNotFoundError:
                continue
        if Path(parent) != folder and time.time() - os.stat(parent).st_mtime > seconds:
            try:
                os.rmdir(parent)
            except OSError:  # not empty
                continue
