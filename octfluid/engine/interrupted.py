"""What a training that a signal ended leaves instead of a record: a mark that says how far it came.

Imports neither torch nor mmengine, so that a report can look for marks anywhere.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from octfluid.records.schema import Count, FileModel, validated
from octfluid.utils.atomic import write_json
from octfluid.utils.errors import InputError
from octfluid.utils.text import json_files, read_json

MARK = 'interrupted.json'
SCHEMA = 'octfluid.interrupted/1'


class _Mark(FileModel):
    iteration: Count
    iterations: Count


def write_mark(work_dir: str | os.PathLike, content: Mapping[str, Any]) -> None:
    """Mark a run as interrupted.

    Args:
        work_dir: Of the run.
        content: What to tell beside the schema: ``config``, ``split``, ``seed``, ``signal``, ``iteration`` (how many are done),
            ``iterations`` (of the whole run), ``checkpoint`` (name of the last one, or None), ``wall_seconds``.
    """
    write_json(Path(work_dir) / MARK, {'schema': SCHEMA, **content})


def remove_mark(work_dir: str | os.PathLike) -> None:
    """Remove the mark of a run that goes on."""
    (Path(work_dir) / MARK).unlink(missing_ok=True)


def find_marks(paths: Iterable[str | os.PathLike]) -> list[tuple[Path, dict[str, Any]]]:
    """Return the marks below folders, each once, with what they say, by path; files and anything else are passed over."""
    found = {}
    for folder in filter(os.path.isdir, paths):
        for path in (path for path in json_files(folder) if path.name == MARK):
            try:
                content = read_json(path)
                validated(_Mark, content, str(path))
            except InputError:
                continue
            if content.get('schema') == SCHEMA:
                found.setdefault(path.resolve(), (path, content))
    return sorted(found.values(), key=lambda pair: pair[0].as_posix())
