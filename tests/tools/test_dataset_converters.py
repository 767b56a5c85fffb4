import os

import numpy as np
import pytest
import scipy.io
from PIL import Image


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
