"""Runs a command of the table in this process, or a script in one of its own."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(arguments, monkeypatch, capfd):
    """Run ``python tools/... `` or ``bash scripts/...`` in the current folder; returns status and the lines on stderr."""
    program, script, *rest = arguments
    capfd.readouterr()
    if program == 'bash':
        environment = {**os.environ, 'PYTHON': sys.executable}
        done = subprocess.run(['bash', ROOT / script, *rest], capture_output=True, text=True, env=environment)
        return done.returncode, done.stderr.splitlines()
    monkeypatch.setattr(sys, 'argv', [Path(script).name, *rest])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / script), run_name='__main__')
    return stopped.value.code or 0, capfd.readouterr().err.splitlines()
