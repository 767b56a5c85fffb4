"""What `pip install` alone brings, on each Python that is here: an environment made anew."""

import json
import shutil
import subprocess
import sys

import pytest
from faults.ledger import ROOT, budget, note
from PIL import Image

from octfluid.datasets.phantoms import make_phantom

COMMAND = 'python -m pytest tests -m faults -k base_install'


def runs(python):
    """Tell whether an interpreter is there, and no mere stand-in of a version manager."""
    return bool(shutil.which(python)) and subprocess.run([python, '-c', 'import venv'], capture_output=True).returncode == 0


PYTHONS = [name for name in ('python3.11', 'python3.12', 'python3.13') if runs(name)]


def install(python, folder, *what):
    """Make an environment and install into it; returns its folder of programs."""
    subprocess.run([python, '-m', 'venv', folder], check=True)
    done = subprocess.run([folder / 'bin/pip', 'install', '-q', *what], cwd=ROOT, capture_output=True, text=True)
    if 'No matching distribution' in done.stderr or 'Connection' in done.stderr:
        pytest.skip('no package index within reach')
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / 'bin'


def packages(programs):
    listed = subprocess.run([programs / 'pip', 'list', '--format', 'json'], capture_output=True, text=True, check=True).stdout
    return {one['name'] for one in json.loads(listed)}


def test_base_install_predicts_without_torch(tmp_path):
    Image.fromarray(make_phantom(0, 96, 128, fluid=True)[0]).save(tmp_path / 'scan.png')
    source = tmp_path / 'source'
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns('.git', '.venv', 'data', 'work_dirs', 'build', '*.egg-info'))
    pythons = budget(PYTHONS, PYTHONS[:1]) or [sys.executable]
    held, most = 0, 0
    for python in pythons:
        programs = install(python, tmp_path / python.rpartition('/')[2], source)
        names = packages(programs)
        assert not names & {'torch', 'onedl-mmsegmentation', 'gradio', 'eyepy'}
        command = [programs / 'octfluid-predict', tmp_path / 'scan.png', '--out', tmp_path / f'out_{held}']
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f'out_{held}/scan_mask.png').is_file()
        held, most = held + 1, max(most, len(names))
    note('reproducibility', 'base install alone (no torch), then one prediction', len(pythons), held, COMMAND,
         pythons=', '.join(pythons), packages=most)  # fmt: skip
    assert held == len(pythons)
