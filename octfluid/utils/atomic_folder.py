"""Folders that are either the whole new version or the old one: built beside the final place, then swapped in."""

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from octfluid.utils.atomic import flush, require_folder
from octfluid.utils.errors import InputError
from octfluid.utils.lock import locked

_ANY = 8 * '?'  # the random end of a name; no folder of another name ends so


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give an empty folder beside ``path``; it takes that name when the block ends without an error.

    Files inside need no care of their own: write them plainly. An old folder at ``path`` is moved aside, the new one is
    moved in, and only then is the old one deleted, so that no reader ever meets a mixture of both. What a killed process has
    left beside ``path``, a folder named ``.tmp-<name>-*`` or ``.old-<name>-*``, goes with the next call for the same
    ``path``; if it was killed while it exchanged the two, the old folder comes back first.

    Args:
        path: The final folder. Missing parents are created; a symbolic link is followed and stays.
        is_ours: Called with the folder that stands at ``path`` if it is not empty; True allows replacing it.

    Yields:
        The temporary folder. When the block raises, it is removed, with the parents created for it, and whatever stood at
        ``path`` is untouched.

    Raises:
        InputError: ``path`` is a file, or a folder with other content than ours. Raised before the block is entered (and
            again at its end, should such a folder have appeared in the meantime). Or another process is making it, or it lies
            below a file, or where nothing can be written.
    """
    final = Path(os.path.realpath(path))  # Path.resolve raises RuntimeError for links in a circle
    require_folder(final.parent, f'{path}: its folder')
    _refuse_foreign(final, path, is_ours)
    created = [folder for folder in final.parents if not folder.exists()]
    temporary = _sibling(final, 'tmp')
    try:
        with locked(final.parent, f'.lock-{final.name}', path):
            _tidy(final)
            temporary.mkdir()
            yield temporary
            _refuse_foreign(final, path, is_ours)
            for written in (*temporary.rglob('*'), temporary):
                flush(written)
            _swap(temporary, final)
            flush(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        for folder in created:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _tidy(final: Path) -> None:
    """Remove what killed processes left, but bring back a folder that one of them had moved aside and not yet replaced."""
    for old in final.parent.glob(f'.old-{glob.escape(final.name)}-{_ANY}'):
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(final)
    for temporary in final.parent.glob(f'.tmp-{glob.escape(final.name)}-{_ANY}'):
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_foreign(final: Path, shown: str | os.PathLike, is_ours: Callable[[Path], bool]) -> None:
    standing = next(place for place in (final, *final.parents) if os.path.lexists(place))
    if not standing.is_dir():
        what = 'is a file' if standing == final and final.exists() else f'{standing} is a file, or a link in a circle'
        raise InputError(f'{shown}: {what}; expected a folder or a name that is still free')
    if final.is_dir() and any(final.iterdir()) and not is_ours(final):
        raise InputError(
            f'{shown}: holds files that this command did not make and would delete; '
            'expected an empty folder or an earlier result; choose another folder or empty this one'
        )


def _sibling(final: Path, kind: str) -> Path:
    return final.with_name(f'.{kind}-{final.name}-{secrets.token_hex(len(_ANY) // 2)}')


def _swap(temporary: Path, final: Path) -> None:
    if not final.exists():
        temporary.rename(final)
        return
    old = _sibling(final, 'old')
    final.rename(old)
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old)
