"""Files that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from octfluid.utils.errors import InputError

TEMPORARY = '.tmp-octfluid-'
"""How names begin of what is being written; nobody else's do, so that what a killed process has left can be removed."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path beside ``path``; it takes that name when the block ends without an error.

    A process that is killed may leave a file whose name begins with `TEMPORARY`, see `remove_left_over`.

    Args:
        path: The final file. Its folder is created when missing.

    Yields:
        A path in the same folder with the same suffix, so that writers that look at the suffix work. When the block
        raises, the temporary file is removed and whatever stood at ``path`` is untouched.

    Raises:
        InputError: ``path`` is a folder.
    """
    path = Path(path)
    require_file_names([path])
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        flush(temporary)
        temporary.chmod(_permissions(path))
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _permissions(path: Path) -> int:
    """Return what open() would leave a file with: its own if it is there, else the usual ones (mkstemp makes private files)."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def flush(path: Path) -> None:
    """Have the disk take in a file's content, or a folder's names, so that they are there after a loss of power."""
    # Some systems cannot open folders, and some network file systems cannot flush them.
    with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_left_over(folder: str | os.PathLike) -> None:
    """Remove what killed processes have left half-written in a folder that no other process works in.

    Args:
        folder: In which what begins with `TEMPORARY` goes; not in folders below.
    """
    for path in Path(folder).glob(f'{TEMPORARY}*'):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def require_folder(path: str | os.PathLike, what: str) -> None:
    """Refuse an output folder that cannot be one.

    Args:
        path: The folder, which need not exist.
        what: What to call it in the message, such as ``'--work-dir'``.

    Raises:
        InputError: It, or what should hold it, is a file or a link that leads nowhere, or cannot be written to; or its name is
            too long.
    """
    path = Path(path)
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f'{what} {str(path)[:60]}...: {error.strerror.lower()}; choose a shorter one') from error
    standing = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not standing.is_dir():
        kind = 'a file' if standing.exists() else 'a link that leads nowhere'
        raise InputError(f'{what} {path}: {standing} is {kind}; expected a folder or a name that is still free')
    if not os.access(standing, os.W_OK | os.X_OK):
        raise InputError(f'{what} {path}: no permission to write in {standing}; choose another folder')


def require_file_names(paths: Iterable[str | os.PathLike]) -> None:
    """Refuse to write files where folders stand, best before the work whose results they hold.

    Raises:
        InputError: One is a folder.
    """
    for path in paths:
        if os.path.isdir(path):
            raise InputError(f'{path}: is a folder where a file is to be written; move it, or choose another place')


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Write ``content`` to ``path`` whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, content.encode('utf-8'))


def write_json(path: str | os.PathLike, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all.

    Raises:
        ValueError: ``content`` holds NaN or infinity, which JSON cannot express; store None instead.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + '\n')
