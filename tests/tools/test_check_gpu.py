"""The checks of a new GPU (`tools/analysis_tools/check_gpu.py`); what needs one runs in `scripts/check_gpu.sh` itself."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from octfluid.datasets.config_data import check_data
from octfluid.engine.config import load_config

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


@pytest.mark.parametrize('kind', ['train', 'infer'])
def test_speed_is_that_of_a_benchmark_record(check_gpu, monkeypatch, tmp_path, kind):
    monkeypatch.syspath_prepend(ROOT / 'tools/analysis_tools')
    benchmarking = importlib.import_module('benchmarking')
    measured = dict(settings={}, summary={'stock': {}, 'octfluid, fp32': dict(ratio_median=2.5)})
    for name in ('benchmark_train', 'benchmark_infer'):
        monkeypatch.setattr(benchmarking, name, create_autospec(getattr(benchmarking, name), return_value=measured))
    monkeypatch.setattr(torch.version, 'cuda', '13.0')
    status, text = check_gpu.check_speed(kind, tmp_path, 3)
    assert status == 'ok' and '2.50 times' in text
    assert json.loads(next(tmp_path.glob(f'{kind}_*.json')).read_text())['summary'] == measured['summary']
    config = load_config(ROOT / check_gpu.ROW10, check_gpu.speed_options(tmp_path / 'phantom_256'))
    init_default_scope('mmseg')
    assert check_data(config).problems == [] and len(DATASETS.build(config.train_dataloader.dataset)) == 16
