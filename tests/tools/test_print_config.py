import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('same', [False, True])
def test_what_differs_between_two_configs(monkeypatch, capsys, same):
    pytest.importorskip('mmseg')
    names = ['table2/10_crop320_wd1e-4.py' if same else 'table2/06_crop320.py', 'table2/10_crop320_wd1e-4.py']
    monkeypatch.setattr(sys, 'argv', ['print_config.py', *(str(ROOT / 'configs' / name) for name in names)])
    runpy.run_path(str(ROOT / 'tools/analysis_tools/print_config.py'))['main']()
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith('#')]
    assert lines == ['no difference' if same else 'optim_wrapper.optimizer.weight_decay: 0.0005 -> 0.0001']


def test_what_is_printed_is_a_config_with_the_same_digest(monkeypatch, capsys, tmp_path):
    pytest.importorskip('mmseg')
    from octfluid.engine.config import load_config
    from octfluid.records.fingerprint import config_sha256

    config = ROOT / 'configs/table2/10_crop320_wd1e-4.py'
    monkeypatch.setattr(sys, 'argv', ['print_config.py', str(config)])
    runpy.run_path(str(ROOT / 'tools/analysis_tools/print_config.py'))['main']()
    (tmp_path / 'printed.py').write_text(capsys.readouterr().out)
    assert config_sha256(load_config(tmp_path / 'printed.py')) == config_sha256(load_config(config))
