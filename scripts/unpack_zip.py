#!/usr/bin/env python3
"""Verify a zip archive, or unpack it into a folder that appears whole or not at all. Standard library only."""

import argparse
import fnmatch
import shutil
import signal
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

MOST_TIMES = 100  # an archive's own size that its members may come to; scans shrink by a factor of 2 to 20


def _require_harmless(archive: Path, opened: zipfile.ZipFile) -> None:
    """Refuse members that would lie outside the target folder, and such as would fill the disk."""
    for name in opened.namelist():
        path = PurePosixPath(name.replace('\\', '/'))
        if path.is_absolute() or '..' in path.parts:
            raise ValueError(f'{archive}: member {name!r} would be written outside the folder; refused')
    size, packed = sum(member.file_size for member in opened.infolist()), archive.stat().st_size
    if size > max(1 << 26, MOST_TIMES * packed):
        raise ValueError(f'{archive}: {packed} bytes that unpack to {size}, as no archive of scans does; refused')


def verify(archive: Path, holds: str = '*') -> None:
    """Read every member once; one at least has a name of the pattern ``holds``, in any case.

    Raises:
        ValueError: Not a zip archive, or one of something else; a damaged member, one that would be written outside the target
            folder, or members of far more bytes than the archive.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            _require_harmless(archive, opened)
            bad = opened.testzip()
            names = [name.lower() for name in opened.namelist()]
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
        raise ValueError(f'{archive}: not a sound zip archive ({error})') from error
    if bad is not None:
        raise ValueError(f'{archive}: member {bad!r} is damaged')
    if not fnmatch.filter(names, holds.lower()):
        raise ValueError(f'{archive}: none of its {len(names)} members is called {holds}; expected the data set')


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a verified archive to a temporary folder beside ``folder``, then rename it.

    Raises:
        ValueError: ``folder`` is no folder.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f'{folder}: is a file or a link to nowhere; expected a folder or a free name, move it elsewhere')
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left in folder.parent.glob(f'.tmp-{folder.name}-*'):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f'.tmp-{folder.name}-', dir=folder.parent))
    try:
        with zipfile.ZipFile(archive) as opened:
            _require_harmless(archive, opened)
            opened.extractall(temporary)
        # mkdtemp makes private folders; others may read this one.
        temporary.chmod(0o755)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def main() -> int:
    """Parse the arguments; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('archive', type=Path)
    parser.add_argument('--holds', default='*', metavar='PATTERN', help='a name that a member must have')
    parser.add_argument('--into', type=Path, metavar='DIR', help='unpack to this folder, which must not exist')
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what is half unpacked goes
    try:
        if args.into:
            unpack(args.archive, args.into)
        else:
            verify(args.archive, args.holds)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
