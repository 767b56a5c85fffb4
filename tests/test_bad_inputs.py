"""Every bad input of every tool: the exact line that it prints, its status, and that nothing is left behind."""

import shlex
import shutil

import pytest
from bad_inputs.running import ROOT, run
from bad_inputs.table import GROUPS, PAGE, read_table, render
from bad_inputs.workshop import build

pytest.importorskip('torch')
for package in ('nibabel', 'pydicom', 'eyepy', 'gradio', 'onnx'):
    pytest.importorskip(package)
TABLE = read_table()
CASES = [pytest.param(case, id=f'{name}: {case["what"]}') for name in GROUPS for case in TABLE[name]]


@pytest.fixture(scope='session')
def workshop(tmp_path_factory):
    folder = tmp_path_factory.mktemp('workshop')
    build(folder)
    return folder


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


@pytest.mark.parametrize('case', CASES)
def test_what_is_refused_and_how(workshop, tmp_path, monkeypatch, capfd, case):
    here = tmp_path / 'here'
    shutil.copytree(workshop, here, symlinks=True)
    monkeypatch.chdir(here)
    before = files(here)
    status, lines = run(shlex.split(case['command'].replace('ROOT', str(ROOT))), monkeypatch, capfd)
    shown = [line.replace(f'{here}/', '').replace(f'{ROOT}/', '') for line in lines]
    assert (status, shown) == (case['status'], case['stderr'])
    left = {name for name in files(here) - before if not name.endswith(('.pyc', '.lock'))}
    assert left <= set(case.get('leaves', ())), 'something is left behind'


def test_the_page_is_what_the_table_says():
    assert PAGE.read_text(encoding='utf-8') == render(TABLE), 'write it anew: python tests/bad_inputs/table.py'


def test_every_tool_has_its_bad_inputs():
    told = {word for name in GROUPS for case in TABLE[name] for word in case['command'].split()}
    tools = {path.relative_to(ROOT).as_posix() for path in (ROOT / 'tools').rglob('*.py')}
    tools |= {path.relative_to(ROOT).as_posix() for path in (ROOT / 'scripts').glob('*.sh') if not path.name.startswith('lib_')}
    assert tools - told == set(NOT_HERE)


NOT_HERE = {'scripts/test.sh': 'hands its arguments to pytest'}
