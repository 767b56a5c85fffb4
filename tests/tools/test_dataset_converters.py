import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

TOOLS = Path(__file__).parents[2] / 'tools/dataset_converters'


@pytest.fixture
def raw(tmp_path, write_hrf, monkeypatch):
    """Small input of every converter: photographs, folders of scans of two patients and masks, and one Duke volume."""
    write_hrf(tmp_path / 'hrf')
    (tmp_path / 'hrf/manual1/07_dr.tif').unlink()
    for kind, names in (('scans', ('vol1_1', 'vol1_2', 'vol2_1')), ('masks', ('vol1_1', 'vol1_2'))):
        (tmp_path / kind).mkdir()
        for name in names:
            Image.fromarray(np.eye(36, 48, dtype=np.uint8)).save(tmp_path / kind / f'{name}.png')
    fluid = np.full((20, 30, 2), np.nan)
    fluid[:, :, 1] = np.eye(20, 30)
    scipy.io.savemat(tmp_path / 'Subject_01.mat', {'images': np.zeros((20, 30, 2), np.uint8), 'manualFluid1': fluid})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(('tool', 'arguments', 'said'), [
    ('duke_dme', ['.', '--allow-missing'], ['2 slices, 1 graded, 1 with fluid', '1 subjects']),
    ('hrf', ['hrf'], ['4 of the 45 photographs', '15.62%', '3 to train on, 1 to validate on']),
    ('folder', ['scans', 'masks', '--subject', r'(vol\d+)_\d+'], ['2 scans of 1 patients, 2 with fluid', 'vol2_1']),
    ('folder', ['scans', 'masks', '--classes', 'irf=1'], ['2 scans of 2 patients', 'labels: 0 background', '1 irf']),
    ('folder', ['scans', 'masks', '--fluid', '1', '2'], ['2 with fluid']),
    ('phantom', ['--subjects', '3', '--slices', '2', '--size', '64x96', '--seed', '5'],
     ['6 phantoms, 3 with fluid', '4 to train on, 2 of other subjects']),
])  # fmt: skip
def test_it_converts_and_says_what_it_did(raw, run_tool, tool, arguments, said):
    status, out, err = run_tool(f'dataset_converters/{tool}', *arguments, '--out', 'new/out')
    assert (status, err) == (0, [])
    assert not [text for text in (*said, 'new/out') if text not in out]
    assert os.listdir(raw / 'new') == ['out']
    assert {'index.csv', 'splits', 'native'} <= set(os.listdir(raw / 'new/out'))


@pytest.mark.parametrize('given', [
    ['--classes', 'irf'], ['--classes', 'a=1', 'a=2'], ['--classes', 'a=1', 'b=1'], ['--classes', 'a=x'],
    ['--classes', 'background=1'], ['--classes', 'a=1', '--fluid', '1'], ['--folds'], ['--fluid', '9'],
    ['--subject', '(.)', '--each-scan-is-a-patient'],
])  # fmt: skip
def test_classes_and_patients_that_cannot_be_are_one_line(raw, run_tool, given):
    status, _, err = run_tool('dataset_converters/folder', 'scans', 'masks', '--out', 'new', *given)
    assert (status, len(err)) == (2, 1) and not (raw / 'new').exists()


def test_a_full_disk_is_status_1_and_leaves_the_earlier_data(raw, run_tool):
    arguments = ('.', '--allow-missing', '--out', 'new/out')
    assert run_tool('dataset_converters/duke_dme', *arguments)[0] == 0
    before = {path: path.read_bytes() for path in raw.rglob('*') if path.is_file()}
    # A limit on the size of files fails a write just as a full disk does, with an OSError.
    done = subprocess.run([sys.executable, TOOLS / 'duke_dme.py', *arguments], capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)))  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and 'Traceback' not in done.stderr
    assert {path: path.read_bytes() for path in raw.rglob('*') if path.is_file()} == before
