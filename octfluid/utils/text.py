"""Reader of text and JSON files: regular files in UTF-8."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from unicodedata import normalize

from octfluid.utils.errors import InputError


def require_file(path: str | os.PathLike) -> None:
    """Raise InputError unless the path is a regular file: reading a pipe or a device can block forever."""
    if not os.path.isfile(path):
        found = 'a folder' if os.path.isdir(path) else 'a pipe, socket or device' if os.path.exists(path) else 'no such file'
        raise InputError(f'{path}: {found}; expected a file')


def as_stored(path: Path) -> Path:
    """Return a path as the disk spells it: in names, a letter with an accent may be one character (NFC) or two (NFD)."""
    if os.path.lexists(path) or str(path).isascii():
        return path
    folder, name = as_stored(path.parent), normalize('NFC', path.name)
    entries = folder.iterdir() if os.path.isdir(folder) else ()
    return next((entry for entry in entries if normalize('NFC', entry.name) == name), path)


def read_text(path: str | os.PathLike, encoding: str = 'utf-8') -> str:
    """Read a text file, its line ends as Unix has them.

    ``encoding`` may be ``'utf-8-sig'`` where a spreadsheet program may have put a byte order mark first.

    Raises:
        InputError: It is missing or no regular file, cannot be read, or is not UTF-8.
    """
    require_file(path)
    try:
        return Path(path).read_text(encoding=encoding)
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); expected a text file') from error
    except UnicodeDecodeError as error:
        raise InputError(f'{path}: not UTF-8 at byte {error.start}; expected a UTF-8 text file') from error


def json_files(folder: str | os.PathLike) -> Iterator[Path]:
    """Yield the ``*.json`` files below a folder, not hidden ones nor those below hidden folders and mmengine's ``vis_data``.

    Symbolic links to folders are followed: work folders often lie on another disk. An InputError names a folder that cannot be
    read, or a link in a circle.
    """

    def refuse(error: OSError) -> NoReturn:
        raise InputError(f'{error.filename}: cannot be read ({error.strerror}); expected a folder to search') from error

    for here, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith('.') and name != 'vis_data']
        yield from (Path(here) / name for name in names if name.endswith('.json') and not name.startswith('.'))


def read_json(path: str | os.PathLike) -> Any:
    """Read a JSON file.

    Raises:
        InputError: As `read_text`; or it is no JSON, holds NaN or infinity, or is nested too deeply.
    """

    def refuse(name: str) -> NoReturn:
        raise ValueError(f'{name} is no number')

    try:
        return json.loads(read_text(path), parse_constant=refuse)
    except (RecursionError, ValueError) as error:
        raise InputError(f'{path}: broken JSON ({error}); delete the file or restore it') from error
