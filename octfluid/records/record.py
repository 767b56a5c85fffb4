"""Read, write and name run records, and compute the fingerprints in them.

A record is one JSON file for each training or test; `octfluid.records.schema` has its fields. This module imports neither torch
nor mmengine, so that reports can be made anywhere.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from octfluid.records.fingerprint import flatten, is_result_neutral, is_speed_switch
from octfluid.records.provenance import file_label, init_source, source_iterations
from octfluid.records.runs import Run
from octfluid.records.schema import SCHEMA, SCHEMA_FAMILY, metric_classes, validate_record
from octfluid.utils.atomic import write_text
from octfluid.utils.errors import InputError
from octfluid.utils.text import json_files, read_json

TABLES = ('table1', 'table2', 'ablations', 'hrf', 'external')
"""Folders of ``configs/`` that have a table of their own; records of all other configs belong to ``recipes``."""

_ONE_ITEM_A_LINE = ('history', 'images')


def _is_record(path: Path, content: Any) -> bool:
    schema = content.get('schema') if isinstance(content, dict) else None
    if schema != SCHEMA and isinstance(schema, str) and schema.startswith(SCHEMA_FAMILY):
        # Skipped, it would silently be missing from every table.
        raise InputError(f'{path}: a run record of schema "{schema}"; expected "{SCHEMA}", use the version that wrote it')
    return schema == SCHEMA


def read_record(path: str | os.PathLike) -> dict[str, Any]:
    """Read one run record; an InputError says what is wrong with it (see `validate_record`)."""
    record = read_json(path)
    if not _is_record(Path(path), record):
        raise InputError(f'{path}: not a run record; expected JSON with "schema": "{SCHEMA}"')
    validate_record(record, str(path))
    return record


def read_records(paths_or_dirs: Iterable[str | os.PathLike]) -> list[tuple[Path, dict[str, Any]]]:
    """Read every run record among files, and in folders and below.

    In folders other JSON is skipped, and so are hidden files and folders, and mmengine's ``vis_data`` with its logs.

    Returns:
        (path, record) in the order of the paths' names, each file once.

    Raises:
        InputError: A path does not exist, a file is broken JSON, or a record is invalid or of another schema.
    """
    found: dict[Path, dict[str, Any]] = {}
    for given in map(Path, paths_or_dirs):
        if not given.exists():
            raise InputError(f'{given}: no such file or folder; expected a run record or a folder of run records')
        if given.is_file():
            found[given.resolve()] = (given, read_record(given))
            continue
        for path in json_files(given):
            if _is_record(path, content := read_json(path)):
                validate_record(content, str(path))
                found.setdefault(path.resolve(), (path, content))
    return [found[key] for key in sorted(found, key=lambda path: path.as_posix())]


def record_filename(record: Mapping[str, Any]) -> str:
    """Return the file name of a record: ``<kind>_<split>_<init>_<iterations>i_seed<k>[_<variant>].json``.

    ``<init>`` is the source of the initial weights, for our own ones with the length of a shorter training: ``hrf-own-1000i``.
    """
    init = file_label(init_source(record), source_iterations(record['init']))
    parts = [record['kind'], record['split'], init, f'{record["iterations"]}i', f'seed{record["seed"]}']
    return '_'.join(parts + ([record['variant']] if record['variant'] else [])) + '.json'


def config_table(record: Mapping[str, Any]) -> str:
    """Return the table a record belongs to by its config's folder: one of `TABLES`, or ``recipes``."""
    folder = PurePosixPath(record['config']).parent.name
    return folder if folder in TABLES else 'recipes'


def published_path(record: Mapping[str, Any]) -> str:
    """Return where a record is kept below ``docs/results/records``: ``<table>/<config stem>/<file name>``."""
    return f'{config_table(record)}/{PurePosixPath(record["config"]).stem}/{record_filename(record)}'


def result_changing_overrides(overrides: Mapping[str, Any]) -> list[str]:
    """Return which of a record's ``overrides`` can change a result (`octfluid.records.fingerprint`): dotted keys, sorted."""
    return sorted(name for name, _ in flatten(overrides) if not is_result_neutral(name))


def to_run(path: Path, record: Mapping[str, Any]) -> Run:
    """Return a validated record as the tables see it."""
    switches = (f'{name}={json.dumps(value)}' for name, value in flatten(record['overrides']) if is_speed_switch(name))
    return Run(
        path=path,
        label=published_path(record),
        table=config_table(record),
        source=init_source(record),
        source_iterations=source_iterations(record['init']),
        foreground='+'.join(metric_classes(record)[1:]),
        changed=tuple(result_changing_overrides(record['overrides'])),
        speed=tuple(sorted(switches)),
        record=record,
    )


def format_record(record: Mapping[str, Any]) -> str:
    """Return a record as JSON text: one line a field, and one line an element of ``history`` and ``images``."""
    fields = []
    for key, value in record.items():
        if key in _ONE_ITEM_A_LINE and value:
            items = ',\n'.join('  ' + json.dumps(item, allow_nan=False) for item in value)
            text = f'[\n{items}\n ]'
        else:
            text = json.dumps(value, allow_nan=False)
        fields.append(f' {json.dumps(key)}: {text}')
    return '{\n' + ',\n'.join(fields) + '\n}\n'


def write_record(record: dict[str, Any], path: str | os.PathLike) -> None:
    """Check a record (see `validate_record`) and write it whole or not at all, with full float precision."""
    validate_record(record, str(path))
    write_text(path, format_record(record))


def _git(root: Path, *arguments: str) -> str | None:
    try:
        # Without locks: a process that is killed here would leave one in the user's repository, which git then refuses to use.
        done = subprocess.run(
            ['git', '--no-optional-locks', '-C', str(root), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:  # git is not installed
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def git_state(root: str | os.PathLike) -> dict[str, Any] | None:
    """Return ``{"commit": ..., "dirty": ...}`` of the repository at ``root``; untracked files make it dirty.

    None when ``root`` is not the top of a git repository with a commit, or git is not installed.
    """
    root = Path(root)
    top = _git(root, 'rev-parse', '--show-toplevel')
    if top is None or Path(top).resolve() != root.resolve():
        return None
    commit, changes = _git(root, 'rev-parse', '--verify', 'HEAD'), _git(root, 'status', '--porcelain')
    return None if commit is None or changes is None else {'commit': commit, 'dirty': bool(changes)}


def _update(digest: Any, name: str, content: bytes) -> None:
    """Feed a name and a content, each with its length, so that no two different lists of files give one digest."""
    for part in (name.encode('utf-8'), content):
        digest.update(len(part).to_bytes(8, 'big'))
        digest.update(part)


def source_sha256(root: str | os.PathLike) -> str:
    """Return the SHA-256 over names and bytes of every ``*.py`` below ``octfluid/`` and ``tools/`` of ``root``, sorted."""
    root, digest = Path(root), hashlib.sha256()
    files = [path for folder in ('octfluid', 'tools') for path in (root / folder).rglob('*.py')]
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in files if '__pycache__' not in path.parts):
        _update(digest, name, path.read_bytes())
    return digest.hexdigest()


def split_sha256(files: Mapping[str, tuple[Path, Path]]) -> str:
    """Return the SHA-256 over names and bytes of scored scans: image file and mask file by name."""
    digest = hashlib.sha256()
    for name in sorted(files):
        for path in files[name]:
            _update(digest, name, Path(path).read_bytes())
    return digest.hexdigest()
