"""The checks of a new GPU (`tools/analysis_tools/check_gpu.py`); what needs one runs in `scripts/check_gpu.sh` itself."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def check_gpu():
    spec = importlib.util.spec_from_file_location('check_gpu', ROOT / 'tools/analysis_tools/check_gpu.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def machine(check_gpu, monkeypatch, tmp_path):
    """Run the tool with a card that is not there and checks that are given."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'get_device_name', lambda: 'card')

    def call(**checks):
        monkeypatch.setattr(check_gpu, 'all_checks', lambda args, data: checks)
        monkeypatch.setattr(sys, 'argv', ['check_gpu.py', '--work-dir', str(tmp_path)])
        return check_gpu.main()

    return call


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is there')
def test_without_a_gpu_it_ends_with_status_2(tmp_path):
    done = subprocess.run(
        ['bash', ROOT / 'scripts/check_gpu.sh', '--work-dir', tmp_path / 'x'],
        env={'PATH': '/usr/bin:/bin', 'PYTHON': sys.executable}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1) and not (tmp_path / 'x').exists()


def test_only_what_failed_is_checked_again_and_nothing_unmeasured_passes(machine, tmp_path, capsys):
    asked = []

    def check(name, outcome):
        return lambda: asked.append(name) or outcome

    def fail():
        raise RuntimeError('no kernel image')

    assert machine(a=check('a', ('ok', 'good')), b=fail, c=check('c', ('not measured', 'speed'))) == 1
    assert 'no kernel image' in json.loads((tmp_path / 'checks.json').read_text())['results']['b'][1]
    assert machine(a=check('a', ('ok', 'good')), b=check('b', ('ok', 'now')), c=check('c', ('ok', 'never'))) == 0
    assert asked == ['a', 'c', 'b']
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == 'passed: 0 of 3 checks failed, 1 were not measured' and lines[-2].startswith('not measured')
