"""Which Python the scripts find or make (`scripts/lib_install.sh`), with stand-ins for the interpreters."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def find(tmp_path):
    """Call find_python in an empty folder where only the named interpreters exist; each is this one under that name."""

    def call(*names, **environment):
        commands = tmp_path / 'bin'
        commands.mkdir(exist_ok=True)
        for name in names:
            quick = '[[ $2 == venv ]] && set -- -m venv --without-pip .venv'
            text = f'#!/bin/bash\necho {name} >> {tmp_path}/asked\n{quick}\nexec {sys.executable} "$@"\n'
            (commands / name).write_text(text)
            (commands / name).chmod(0o755)
        for tool in ('rm', 'bash'):
            if not (commands / tool).exists():
                (commands / tool).symlink_to(f'/bin/{tool}')
        script = f'set -euo pipefail; source {ROOT}/scripts/lib_install.sh; find_python; echo "$python"'
        variables = {'PATH': str(commands), **environment}
        done = subprocess.run(['/bin/bash', '-c', script], cwd=tmp_path, env=variables, capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines(), done.stderr

    return call


def test_makes_an_environment_that_can_be_activated(find, tmp_path):
    # A half-made one is made again.
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').symlink_to(sys.executable)
    status, lines, _ = find('python3', 'python3.13')
    assert status == 0 and lines[1:] == [f'{tmp_path}/.venv/bin/python']
    assert set((tmp_path / 'asked').read_text().split()) == {'python3'}
    inside = subprocess.run(
        ['bash', '-c', 'source .venv/bin/activate && python -c "import sys; print(sys.prefix)"'],
        cwd=tmp_path, env={'PATH': os.environ['PATH']}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(inside.stdout.strip()).resolve() == (tmp_path / '.venv').resolve()
    assert find('python3') == (0, [f'{tmp_path}/.venv/bin/python'], '')


@pytest.fixture(scope='module')
def wheels(tmp_path_factory):
    """The package as `pip install .` and `pip install -e .` install it: folder by kind."""
    builder = pytest.importorskip('hatchling.builders.wheel').WheelBuilder(str(ROOT))
    folders = {}
    for kind in ('standard', 'editable'):
        folders[kind] = tmp_path_factory.mktemp(kind)
        (wheel,) = builder.build(directory=str(tmp_path_factory.mktemp('wheel')), versions=[kind])
        zipfile.ZipFile(wheel).extractall(folders[kind])
    return folders


def test_the_package_holds_its_data(wheels):
    tracked = subprocess.run(['git', 'ls-files', 'octfluid'], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip('no git repository')
    installed = {path.relative_to(wheels['standard']).as_posix() for path in wheels['standard'].rglob('*')}
    here = {name for name in tracked.stdout.split() if (ROOT / name).is_file()}
    assert here - installed == set() and 'octfluid/assets/octfluid-compact.onnx' in here
    assert not [name for name in installed if name.startswith(('tests', 'tools', 'configs'))]


def test_a_clone_called_octfluid_does_not_hide_the_package(wheels, tmp_path):
    """In its parent folder, Python sees the clone first, as a namespace package without `Predictor`."""
    (path_file,) = wheels['editable'].glob('*.pth')
    assert Path(path_file.read_text().strip()) == ROOT
    (tmp_path / 'octfluid').symlink_to(ROOT)
    program = 'import site, sys; site.addsitedir(sys.argv[1]); from octfluid import Predictor, __file__; print(__file__)'
    environment = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(
        [sys.executable, '-c', program, wheels['editable']], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(ROOT / 'octfluid/__init__.py'), done.stderr
