"""What the fault tests count, kept for `docs/reliability.md`."""

import json
import os
import platform
from datetime import date
from importlib import metadata
from pathlib import Path

from octfluid.records.record import git_state, source_sha256
from octfluid.utils.atomic import write_json

SCHEMA = 'octfluid.faults/1'
ROOT = Path(__file__).resolve().parents[2]
BUDGET = os.environ.get('OCTFLUID_FAULTS_BUDGET', 'full')
"""``full``, or ``reduced`` for continuous integration."""


def budget(full, reduced):
    """Return how much of a test to do."""
    assert BUDGET in ('full', 'reduced'), f'OCTFLUID_FAULTS_BUDGET={BUDGET}: expected full or reduced'
    return full if BUDGET == 'full' else reduced


def note(kind, what, tried, held, command, **details):
    """Write a row into `$OCTFLUID_FAULTS_RECORD/<kind>.json`, in place of an earlier one of that name.

    Args:
        kind: Of fault, the file's name: crash, fuzz, load, ...
        what: What was done, in a few words.
        tried: How often.
        held: How often it ended as it should.
        command: Which repeats it.
        details: More figures, by name.
    """
    folder = os.environ.get('OCTFLUID_FAULTS_RECORD')
    if not folder:
        return
    path = Path(folder) / f'{kind}.json'
    rows = json.loads(path.read_text())['rows'] if path.exists() else []
    row = dict(what=what, tried=tried, held=held, command=command, details=details, budget=BUDGET,
               date=date.today().isoformat(), git=git_state(ROOT),
               source_sha256=source_sha256(ROOT), device=f'{os.cpu_count()} CPU cores',
               python=platform.python_version(),
               versions={name: metadata.version(name) for name in ('numpy', 'torch', 'onnxruntime')})  # fmt: skip
    rows = [old for old in rows if old['what'] != what] + [row]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, dict(schema=SCHEMA, kind=kind, rows=sorted(rows, key=lambda one: one['what'])))
