"""Files that would fill the memory or take for ever are refused in one line, before anything of that size is made."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
from faults.bombs import bombs
from faults.ledger import note

CHILD = Path(__file__).with_name('bomb_child.py')
MOST_SECONDS, MOST_BYTES = 5, 1 << 30
COMMAND = 'python -m pytest tests -m faults -k test_bombs'


@pytest.fixture(scope='module')
def answers(tmp_path_factory):
    """What a process without other work says of each file, how long it took, and the most memory that it had held by then."""
    folder = tmp_path_factory.mktemp('bombs')
    files = {}
    for what, (suffix, content) in bombs(folder).items():
        files[what] = folder / f'file{len(files)}{suffix}'
        files[what].write_bytes(content)
    done = subprocess.run([sys.executable, CHILD, *files.values()], capture_output=True, text=True, timeout=300)
    said = {answer['file']: answer for answer in map(json.loads, done.stdout.splitlines())}
    return {what: said.get(path.name, dict(said=f'DIED {done.returncode}', seconds=0, peak=0)) for what, path in files.items()}


def held(answer):
    line = answer['said'] or 'read'
    own = not line.startswith(('ESCAPED', 'DIED', 'read')) and '\n' not in line
    return own and answer['seconds'] < MOST_SECONDS and answer['peak'] < MOST_BYTES


def test_bombs_are_refused_in_one_line_with_little_time_and_memory(answers):
    failed = {what: answer for what, answer in answers.items() if not held(answer)}
    slowest, peak = (max(answer[key] for answer in answers.values()) for key in ('seconds', 'peak'))
    note('hostile', 'files that swell, lead in circles or promise what they lack', len(answers), len(answers) - len(failed),
         COMMAND, slowest_seconds=round(slowest, 2), peak_mb=round(peak / 1e6))  # fmt: skip
    assert failed == {}
    assert len(answers) >= 24


@pytest.mark.parametrize(('what', 'said'), [
    ('JPEG of 20000 passes', 'a JPEG of more than 100 passes'), ('TIFF of 10001 pages', 'says that it has 10001 B-scans'),
    ('TIFF whose 1000 pages are one strip', 'holds 16777 MB'),
    ('NIfTI of 1 GB in 1 MB', 'MB or more in'), ('NIfTI with 2 GB before its values', 'MB or more in'),
    ('MATLAB variable of 1 GB in 1 MB', 'holds 1074 MB'), ('MATLAB variable with a name of 1 GB', 'MB or more in'),
    ('MATLAB variable of a kind that is none', 'not a real numeric array'),
    ('DICOM of 1 GB packed as a whole', 'packed as a whole (deflated)'),
    ('XML of a billion laughs', 'ParseError'), ('.e2e that leads in a circle', 'lead in a circle'),
])  # fmt: skip
def test_each_is_refused_for_what_it_is(answers, what, said):
    assert said in answers[what]['said']


def test_a_program_in_place_of_a_picture_is_not_run(tmp_path, monkeypatch):
    """Pillow hands PostScript to Ghostscript, whatever the name of the file; only what is a picture is opened."""
    from fda_files import chunk, fda_bytes

    from octfluid.io.readers import read_scans
    from octfluid.utils.errors import InputError

    ran = tmp_path / 'ran'
    program = tmp_path / 'bin/gs'
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntouch {ran}\n')
    program.chmod(0o755)
    monkeypatch.setenv('PATH', f'{program.parent}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setattr('PIL.EpsImagePlugin.gs_binary', None)
    eps = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 40\n%%EndComments\n%%EOF\n'
    fda = fda_bytes(chunk(b'@IMG_JPEG', struct.pack('<B7I', 2, 0, 0, 50, 40, 1, 0, len(eps)) + eps))
    for name, content in (('a.fda', fda), ('a.png', eps), ('a.tif', eps)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError):
            read_scans(tmp_path / name)
    note('hostile', 'PostScript in place of a picture', 3, 3 if not ran.exists() else 0, COMMAND)
    assert not ran.exists()
