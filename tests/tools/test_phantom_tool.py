import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'phantom.py'


def run(*arguments):
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, check=False)


def test_makes_a_data_set(tmp_path):
    arguments = ('--out', tmp_path / 'data', '--subjects', 3, '--slices', 2, '--size', '64x96', '--seed', 5)
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, '')
    assert '6 phantoms, 3 with fluid' in done.stdout
    assert '4 to train on, 2 of other subjects held out' in done.stdout
    assert sorted(os.listdir(tmp_path)) == ['data']
    images = sorted((tmp_path / 'data/native/images').iterdir())
    assert [path.stem for path in images] == [f's0{subject}_z0{z}' for subject in (1, 2, 3) for z in (0, 1)]
    assert images[0].read_bytes()[16:24] == (96).to_bytes(4) + (64).to_bytes(4)  # a PNG's width and height
    first = images[0].read_bytes()
    assert run(*arguments).returncode == 0
    assert images[0].read_bytes() == first


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', '64'], "'64' is not a size"),
        (['--size', '32x64'], 'phantom height: 32; expected at least 64'),
        (['--subjects', '1'], 'phantom subjects: 1; expected at least 2'),
        (['--subjects', 'six'], 'invalid int'),
        (['--subjects', '1001'], 'phantom subjects: 1001; expected at most 1000'),
        (['--slices', '1001'], 'phantom slices: 1001; expected at most 1000'),
        (['--size', '64x2049'], 'phantom width: 2049; expected at most 2048'),
        (['--outt', 'x'], 'unrecognized arguments'),
    ],
)
def test_bad_arguments_give_one_line_and_status_2(tmp_path, arguments, message):
    done = run('--out', tmp_path / 'data', *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.tex').write_text('years')
    done = run('--out', tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(tmp_path) == ['thesis.tex']


def test_help_is_instant_and_shows_an_example():
    done = run('--help')
    assert done.returncode == 0
    assert 'phantom.py --out data/phantom' in done.stdout
