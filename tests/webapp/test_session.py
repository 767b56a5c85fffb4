import io
import json
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference import cli as predict
from octfluid.inference.manifest import sha256_of
from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError, WorkError
from octfluid.webapp import session

FRAMES = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])


@pytest.fixture(scope='module')
def predictor():
    return Predictor(threads=1)


@pytest.fixture
def volume(tmp_path):
    savemat(tmp_path / 'v.mat', {'images': FRAMES.transpose(1, 2, 0)})
    return tmp_path / 'v.mat'


def outlined(predictor, path, limits=session.NO_MORE_THAN, **settings):
    steps = session.outline(predictor, path, Settings(**settings), limits)
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as end:
            return end.value, seen


@pytest.mark.parametrize(('text', 'expected'), [
    ('', None), ('  ', None), ('0.004, 0.01', Spacing(0.004, 0.01)), ('0.004;0.01;0.2', Spacing(0.004, 0.01, 0.2)),
])  # fmt: skip
def test_scale_as_typed(text, expected):
    assert session.parse_spacing(text) == expected


@pytest.mark.parametrize('text', ['4', 'a,b', '0,1', '1,2,3,4', '1,-2', '1,inf', '<script>,1'])
def test_scale_that_is_none(text):
    with pytest.raises(InputError, match='expected height, width'):
        session.parse_spacing(text)


def test_a_volume_is_outlined_step_by_step(predictor, volume):
    viewed, seen = outlined(predictor, volume, spacing=Spacing(0.004, 0.01, 0.2))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    np.testing.assert_array_equal(viewed.prediction.masks, predictor.model.mask(FRAMES))
    assert viewed.name == 'v' and session.summary(viewed).startswith('Fluid in 3 of 3 B-scans, ')
    assert len(session.table(viewed)) == 3 and len(session.table(viewed)[0]) == len(session.TABLE_COLUMNS)
    assert session.enface(viewed).dtype == np.uint8


def test_a_scan_that_takes_too_long_is_given_up_and_it_is_said_how_far_it_got(predictor, volume, monkeypatch):
    now = iter(range(0, 100, 10))
    monkeypatch.setattr(session.time, 'monotonic', lambda: next(now))
    with pytest.raises(WorkError, match=r'v\.mat: 2 of 3 B-scans are done after 25 s, the most that this page gives a scan'):
        outlined(predictor, volume, session.Limits(seconds=25))


def test_a_scan_that_is_too_large_is_refused_at_its_first_frame(predictor, volume):
    limit = FRAMES.size
    assert len(outlined(predictor, volume, session.Limits(pixels=limit))[1]) == 3
    with pytest.raises(InputError, match=r'v\.mat: 3 B-scans of 96x128 pixels are too much for the page'):
        outlined(predictor, volume, session.Limits(pixels=limit - 1))


def test_to_close_the_work_stops_the_model(predictor, tmp_path, monkeypatch):
    many = np.concatenate([FRAMES] * 30)
    savemat(tmp_path / 'many.mat', {'images': many.transpose(1, 2, 0)})
    run, seen = type(predictor.model)._run, []
    monkeypatch.setattr(type(predictor.model), '_run', lambda model, scans: seen.append(len(scans)) or run(model, scans))
    steps = session.outline(predictor, tmp_path / 'many.mat', Settings())
    next(steps)
    inner = steps.gi_frame.f_locals['steps']
    before = sum(seen)
    steps.close()
    assert inner.gi_frame is None and sum(seen) == before < len(many)


def test_warnings_name_the_field_of_the_page_and_no_option_of_a_command(predictor, volume):
    viewed, _ = outlined(predictor, volume)
    assert any('no scale' in warning and warning.endswith('give it in the field Scale') for warning in viewed.warnings)
    flat, _ = outlined(predictor, volume, spacing=Spacing(0.004, 0.01))
    assert any('no volume in mm3' in warning and 'in the field Scale' in warning for warning in flat.warnings)
    assert not any('--' in warning for warning in (*viewed.warnings, *flat.warnings))


@pytest.mark.parametrize('bottom_up', [False, True])
def test_a_row_of_the_map_is_a_b_scan(predictor, volume, bottom_up):
    viewed, _ = outlined(predictor, volume, spacing=Spacing(0.004, 0.01, 0.2), bottom_up=bottom_up)
    height = len(session.enface(viewed)) - 44  # of its legend
    rows = [session.bscan_at(viewed, row) for row in range(height)]
    assert sorted(set(rows)) == [0, 1, 2] and rows == sorted(rows, reverse=bottom_up)
    assert all(height // 3 - 1 <= rows.count(place) <= height // 3 + 1 for place in range(3))
    assert session.bscan_at(viewed, height) is None and session.bscan_at(viewed, -1) is None


def test_a_single_scan_has_no_map(predictor, tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / 'b.png')
    viewed, _ = outlined(predictor, tmp_path / 'b.png')
    assert session.enface(viewed) is None and session.summary(viewed).startswith('Fluid: ')
    assert session.table(viewed)[0][2] == ''  # no scale


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
    np.testing.assert_array_equal(low.prediction.masks, viewed.probability > 0.1)


def test_the_zip_holds_what_the_command_writes(predictor, volume, tmp_path, monkeypatch, capsys):
    viewed, _ = outlined(predictor, volume, spacing=Spacing(0.004, 0.01, 0.2))
    archive = zipfile.ZipFile(io.BytesIO(session.download(predictor, viewed)))
    command = ['predict.py', str(volume), '--out', str(tmp_path / 'out'), '--spacing', '0.004,0.01,0.2']
    monkeypatch.setattr(sys, 'argv', command)
    assert predict.main() == 0
    capsys.readouterr()
    written = {path.relative_to(tmp_path / 'out').as_posix(): path for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert sorted(archive.namelist()) == sorted(written)
    for name, path in written.items():
        if name.endswith('.png') or name in ('measurements.csv', 'measurements.json'):
            assert archive.read(name) == path.read_bytes(), name
    manifest = json.loads(archive.read('manifest.json'))
    assert manifest['inputs'][0]['sha256'] == sha256_of(volume)


def test_only_the_first_of_several_scans_and_it_is_said(predictor, tmp_path, monkeypatch):
    (tmp_path / 'v.vol').write_bytes(vol_bytes(FRAMES))
    once = session.read_scans
    monkeypatch.setattr(session, 'read_scans', lambda path: once(path) * 2)
    viewed, _ = outlined(predictor, tmp_path / 'v.vol')
    assert any('holds 2 scans, of which this is the first' in warning for warning in viewed.prediction.warnings)


def test_the_example_is_made_once(tmp_path):
    path = session.example_file(tmp_path)
    before = path.stat().st_mtime_ns
    assert session.example_file(tmp_path) == path and path.stat().st_mtime_ns == before
    assert np.asarray(Image.open(path)).shape == (496, 768)
