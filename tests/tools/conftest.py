import runpy
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def repository(tmp_path):
    """A repository of its own, so that nothing is written to this one."""
    root = tmp_path / 'repository'
    root.mkdir()
    shutil.copytree(ROOT / 'scripts', root / 'scripts')
    for name in ('tools', 'configs'):
        (root / name).symlink_to(ROOT / name)
    return root


@pytest.fixture
def run_tool(monkeypatch, capfd):
    """Run a tool in this process; returns its exit status, stdout, and the lines of stderr."""
    yapf = pytest.importorskip('yapf.yapflib.yapf_api')
    monkeypatch.setattr(yapf, 'FormatCode', lambda text, **_: (text, True))  # of configs: slow, and nobody reads it

    def call(tool, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'{tool}.py', *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / 'tools' / f'{tool}.py'), run_name='__main__')
        out, err = capfd.readouterr()
        return stopped.value.code, out, err.splitlines()

    return call
