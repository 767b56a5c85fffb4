import io
import json
import sys
import zipfile

import numpy as np
import pytest

from octfluid.inference import cli as predict
from octfluid.inference.predictor import Settings
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError
from octfluid.webapp import session

pytestmark = pytest.mark.usefixtures('quick')
SCALE = Spacing(0.004, 0.01, 0.2)


def outlined(predictor, path, **settings):
    steps, seen = session.outline(predictor, path, Settings(**settings)), []

    def watched():
        seen.append((yield from steps))

    done = list(watched())
    return seen[0], done


@pytest.mark.parametrize(('text', 'expected'), [
    ('', None), ('  ', None), ('0.004, 0.01', Spacing(0.004, 0.01)), ('0.004;0.01;0.2', SCALE),
])  # fmt: skip
def test_scale_as_typed(text, expected):
    assert session.parse_spacing(text) == expected


@pytest.mark.parametrize('text', ['4', 'a,b', '0,1', '1,2,3,4'])
def test_other_text_is_not_a_scale(text):
    with pytest.raises(InputError, match='scale'):
        session.parse_spacing(text)


def test_a_volume_is_outlined_step_by_step(predictor, volume, frames):
    viewed, seen = outlined(predictor, volume, spacing=SCALE)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(viewed.prediction.masks, frames > 128)
    assert len(session.table(viewed)) == 3 and len(session.table(viewed)[0]) == len(session.TABLE_COLUMNS)


def test_warnings_name_the_field_of_the_page(predictor, volume):
    for spacing, warned in ((None, 'no scale'), (Spacing(0.004, 0.01), 'no volume in mm3')):
        warnings = outlined(predictor, volume, spacing=spacing)[0].warnings
        assert any(warned in warning and 'in the field Scale' in warning for warning in warnings)
        assert not any('--' in warning for warning in warnings)


def test_opacity(predictor, volume):
    viewed, _ = outlined(predictor, volume)
    plain, half, full = (session.picture(viewed, 1, value).astype(int) for value in (0.0, 0.5, 1.0))
    assert plain.shape == (384, 512, 3) and (plain[..., 0] == plain[..., 1]).all()
    assert np.abs(full - plain).max() > 50 and np.abs(2 * half - plain - full).max() <= 2


def test_another_threshold_does_not_run_the_model_again(predictor, volume, monkeypatch):
    viewed, _ = outlined(predictor, volume)
    monkeypatch.setattr(type(predictor.model), 'stream', None)
    low, high = (session.at_threshold(predictor, viewed, value) for value in (0.1, 0.9))
    assert low.prediction.masks.sum() > high.prediction.masks.sum()
    np.testing.assert_array_equal(low.prediction.masks, viewed.prediction.probability > 0.1)


def test_the_zip_holds_what_the_command_writes(predictor, volume, tmp_path, monkeypatch, capsys):
    viewed, _ = outlined(predictor, volume, spacing=SCALE)
    archive = zipfile.ZipFile(io.BytesIO(session.download(predictor, viewed)))
    command = ['predict.py', str(volume), '--out', str(tmp_path / 'out'), '--spacing', '0.004,0.01,0.2']
    monkeypatch.setattr(sys, 'argv', command)
    assert predict.main() == 0
    written = {path.relative_to(tmp_path / 'out').as_posix(): path for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert sorted(archive.namelist()) == sorted(written)
    for name, path in written.items():
        if name != 'manifest.json':  # the time and the options differ
            assert archive.read(name) == path.read_bytes(), name
    ours, theirs = json.loads(archive.read('manifest.json')), json.loads(written['manifest.json'].read_text())
    assert ours['inputs'] == theirs['inputs'] and ours['model'] == theirs['model']


def test_only_the_first_of_several_scans_and_a_warning(predictor, volume, monkeypatch):
    once = session.read_scans
    monkeypatch.setattr(session, 'read_scans', lambda path: once(path) * 2)
    viewed, _ = outlined(predictor, volume)
    assert any('holds 2 scans' in warning for warning in viewed.prediction.warnings)
