"""Checkpoints that another run has left in the work folder of one that begins anew."""

import os
from pathlib import Path

from octfluid.engine.checkpoint import find_own_checkpoints

FOLDER = 'earlier_{}'


def set_aside(work_dir: str | os.PathLike) -> Path | None:
    """Move an earlier run's checkpoints to a folder of their own, ``earlier_1`` or the next free number.

    Where they stayed, those with more iterations would be taken for the last of the new run by whoever resumes it, and those
    with as many would be overwritten.

    Args:
        work_dir: Of a run whose first step is next.

    Returns:
        The folder that has them now, or None if there were none.
    """
    work_dir, number = Path(work_dir), 1
    found = [*find_own_checkpoints(work_dir), *sorted(work_dir.glob('best_*.pth'))]
    if not found:
        return None
    while (work_dir / FOLDER.format(number)).exists():
        number += 1
    folder = work_dir / FOLDER.format(number)
    folder.mkdir()
    for path in found:
        path.replace(folder / path.name)
    return folder
