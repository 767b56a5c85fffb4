"""Files and folders that are either whole or absent: written under a temporary name, then renamed."""

import contextlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from octfluid.utils.errors import InputError
from octfluid.utils.lock import TEMPORARY, locked


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary path next to ``path``, with its suffix; it takes that name when the block ends without an error.

    Missing folders are created. When the block raises, the temporary file is removed and what stood at ``path`` is untouched; a
    killed process leaves it (`octfluid.utils.lock.occupied`). An InputError says that ``path`` is a folder.
    """
    path = Path(path)
    require_file_names([path])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{TEMPORARY}{secrets.token_hex(4)}{path.suffix}')
    try:
        temporary.touch()
        yield temporary
        flush(temporary)
        with contextlib.suppress(OSError):  # a file that is replaced leaves its permissions
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Put a file's content, or a folder's names, on the disk, so that they are there after a loss of power."""
    # Some systems cannot open folders, and some network file systems cannot flush them.
    with contextlib.suppress(OSError) if path.is_dir() else contextlib.nullcontext():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder next to ``path``; it takes that name when the block ends without an error.

    Write files inside plainly. An old folder at ``path`` is moved aside, the new one is moved in, and only then is the old one
    deleted, so that a reader never finds a mixture of both. When the block raises, what stood at ``path`` is untouched. What a
    killed process has left goes with the next call; if it was exchanging the two folders, the old one comes back first.

    Args:
        path: The final folder. Missing parents are created; a symbolic link is followed and stays.
        is_ours: Called with the folder that stands at ``path`` if it is not empty; True allows replacing it.

    Raises:
        InputError: ``path`` is a file, or a folder with other content than ours, before the block or at its end; another
            process is making it; or it lies where nothing can be written.
    """
    final = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for links in a circle
    require_folder(final.parent, f'{path}: its folder')
    _refuse_foreign(final, path, is_ours)
    temporary, old = (final.with_name(f'.octfluid-{kind}-{final.name}') for kind in ('new', 'old'))
    with locked(final.parent, f'.lock-{final.name}', path):
        if old.exists() and not final.exists():
            old.rename(final)
        for left in (old, temporary):
            shutil.rmtree(left, ignore_errors=True)
        try:
            temporary.mkdir()
            yield temporary
            _refuse_foreign(final, path, is_ours)
            for written in (*temporary.rglob('*'), temporary):
                flush(written)
            if final.exists():
                final.rename(old)
            temporary.rename(final)
            flush(final.parent)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            if old.exists() and not final.exists():
                old.rename(final)
            shutil.rmtree(temporary, ignore_errors=True)


def _refuse_foreign(final: Path, shown: str | os.PathLike, is_ours: Callable[[Path], bool]) -> None:
    if os.path.lexists(final) and not final.is_dir():
        raise InputError(f'{shown}: is a file, or a link in a circle; expected a folder or a name that is still free')
    if final.is_dir() and any(final.iterdir()) and not is_ours(final):
        raise InputError(f'{shown}: holds files that this command did not make and would delete; choose another folder')


def require_folder(path: str | os.PathLike, what: str) -> None:
    """Refuse (InputError) an output folder where no folder can be made or written; ``what`` is its option, as ``'--out'``."""
    path = Path(path)
    standing = next(folder for folder in (path, *path.absolute().parents) if os.path.lexists(folder))
    if not standing.is_dir():
        raise InputError(f'{what} {path}: {standing} is no folder; expected a folder or a name that is still free')
    if not os.access(standing, os.W_OK | os.X_OK):
        raise InputError(f'{what} {path}: no permission to write in {standing}; choose another folder')


def require_file_names(paths: Iterable[str | os.PathLike]) -> None:
    """Refuse (InputError) to write files where folders stand, before the work whose results they hold."""
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
    """Write ``content`` as indented JSON, whole or not at all; a ValueError refuses NaN and infinity: store None instead."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + '\n')
