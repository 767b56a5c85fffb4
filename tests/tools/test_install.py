"""The Python that the scripts make (`scripts/lib_install.sh`), and what the package holds."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREFIX = 'import sys; print(sys.prefix)'


def test_makes_an_environment_that_can_be_activated(tmp_path):
    quick = f'#!/bin/bash\n[[ $2 == venv ]] && set -- -m venv --without-pip .venv\nexec {sys.executable} "$@"\n'
    (tmp_path / 'python3').write_text(quick)
    (tmp_path / 'python3').chmod(0o755)
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').symlink_to(sys.executable)  # a half-made one is made again
    script = f'source {ROOT}/scripts/lib_install.sh; find_python; echo $python; source .venv/bin/activate; python -c "{PREFIX}"'
    variables = {'PATH': f'{tmp_path}:/usr/bin:/bin'}
    for lines in (3, 2):  # the second time nothing is made
        done = subprocess.run(['bash', '-euc', script], cwd=tmp_path, env=variables, capture_output=True, text=True)
        found = done.stdout.splitlines()
        assert (len(found), found[-2:], done.stderr) == (lines, [f'{tmp_path}/.venv/bin/python', f'{tmp_path}/.venv'], '')


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
