"""What the page and its command do, without a browser."""

import json
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.io import savemat

from octfluid.inference import cli as predict
from octfluid.io.scan import Spacing
from octfluid.utils.cli import exit_status_of
from octfluid.utils.errors import InputError
from octfluid.webapp import cli

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
from octfluid.webapp import app

pytestmark = pytest.mark.usefixtures('quick')
SIDE = next(iter(app.SIDES))


@pytest.fixture
def page(predictor):
    return app.Page(predictor)


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Runs the command: exit status, without changes to the environment of the tests."""

    def call(*options):
        monkeypatch.setattr(sys, 'argv', ['app.py', *options])
        monkeypatch.setattr(cli.tempfile, 'tempdir', str(tmp_path))
        monkeypatch.setattr(cli.os, 'environ', dict(cli.os.environ))
        try:
            return exit_status_of(cli.main)
        except SystemExit as stop:
            return stop.code

    return call


def outlined(page, path, scale='0.004, 0.01, 0.2'):
    """The steps of the work, and what there is at its end: status, scan, picture, slider, map, table."""
    *steps, end = page.outline(str(path), scale, SIDE, 0.5, 0.7)
    return [status for status, *_ in steps], end


def test_a_volume_is_outlined_and_looked_at(page, volume, frames, monkeypatch):
    steps, (status, viewed, picture, place, mapped, table, *_) = outlined(page, volume)
    assert [step.partition(', about')[0] for step in steps[1:]] == [f'Outlining: B-scan {n} of 3' for n in (1, 2, 3)]
    masks = frames > 128
    np.testing.assert_array_equal(viewed.prediction.masks, masks)
    assert f'{masks.sum()} px' in status and [row[1] for row in table] == list(masks.sum(axis=(1, 2)))
    assert len(table[0]) == len(app.TABLE_COLUMNS)
    assert (place['value'], place['maximum'], mapped['visible']) == (1, 2, True)
    np.testing.assert_array_equal(picture, page.redraw(viewed, 1, 0.7))
    assert (page.redraw(viewed, 2, 0.7) != picture).any()
    plain, half, full = (page.redraw(viewed, 1, opacity).astype(int) for opacity in (0.0, 0.5, 1.0))
    assert plain.shape == (384, 512, 3) and (plain[..., 0] == plain[..., 1]).all()
    assert np.abs(full - plain).max() > 50 and np.abs(2 * half - plain - full).max() <= 2
    places = [page.go_to(viewed, SimpleNamespace(index=[5, row])) for row in (1, 10**6)]
    assert places[0] == 0 and not isinstance(places[1], int)
    monkeypatch.setattr(type(page.predictor.model), 'stream', None)  # the model does not run again
    lower = page.rethreshold(viewed, 0.1, 1, 0.7)[1]
    np.testing.assert_array_equal(lower.prediction.masks, viewed.prediction.probability > 0.1)


@pytest.mark.parametrize(('scale', 'warned'), [('', 'no scale'), ('0.004;0.01', 'no volume in mm3')])
def test_warnings_name_the_field_of_the_page(page, volume, scale, warned):
    status = outlined(page, volume, scale)[1][0].replace('\\', '')
    assert warned in status and 'in the field Scale' in status and '--' not in status


def test_the_zip_holds_what_the_command_writes(page, volume, tmp_path, monkeypatch):
    viewed = outlined(page, volume)[1][1]
    monkeypatch.setattr(sys, 'argv', ['', str(volume), '--out', str(tmp_path / 'out'), '--spacing', '0.004,0.01,0.2'])
    assert predict.main() == 0
    written = {path.relative_to(tmp_path / 'out').as_posix(): path for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    for update in page.pack(viewed):
        assert update['value'].endswith('octfluid_v.zip')
        archive = zipfile.ZipFile(update['value'])
        assert sorted(archive.namelist()) == sorted(written)
        ours, theirs = json.loads(archive.read('manifest.json')), json.loads(written.pop('manifest.json').read_text())
        assert ours['inputs'] == theirs['inputs'] and ours['model'] == theirs['model']
        assert {name: archive.read(name) for name in written} == {name: path.read_bytes() for name, path in written.items()}


def test_only_the_first_of_several_scans_and_a_warning(page, volume, monkeypatch):
    once = app.read_scans
    monkeypatch.setattr(app, 'read_scans', lambda path: once(path) * 2)
    assert 'holds 2 scans' in outlined(page, volume)[1][0]


def test_nothing_is_there_before_a_scan_is_outlined(page):
    ((status, viewed, *_),) = page.outline(None, '', SIDE, 0.5, 0.7)
    assert 'file' in status and viewed is None
    for skipped in (page.redraw(None, 0, 0.7), page.go_to(None, None), *page.rethreshold(None, 0.5, 0, 0.7), *page.pack(None)):
        assert skipped == app.gr.skip()


@pytest.mark.parametrize(('text', 'expected'), [
    ('  ', None), ('0.004, 0.01', Spacing(0.004, 0.01)), ('0.004;0.01;0.2', Spacing(0.004, 0.01, 0.2)),
    ('4', InputError), ('a,b', InputError), ('0,1', InputError), ('1,2,3,4', InputError),
])  # fmt: skip
def test_scale_as_typed(text, expected):
    if expected is InputError:
        with pytest.raises(InputError, match='scale'):
            app.parse_spacing(text)
    else:
        assert app.parse_spacing(text) == expected


@pytest.mark.parametrize(('name', 'said'), [('bad.png', 'bad.png: '), ('<b>[x](y).png', r'\<b\>\[x\]\(y\)\.png')])
def test_a_bad_file_is_explained_in_words(page, tmp_path, name, said):
    (tmp_path / name).write_text('text')
    status, viewed, *_ = outlined(page, tmp_path / name)[1]
    assert said in (status if '[' in name else status.replace('\\', '')) and str(tmp_path) not in status.replace('\\', '')
    assert status.startswith('**Not done.**') and viewed is None


def test_to_close_the_work_stops_the_model(page, frames, tmp_path, monkeypatch):
    savemat(tmp_path / 'many.mat', {'images': np.concatenate([frames] * 10).transpose(1, 2, 0)})
    run, seen = type(page.predictor.model)._run, []
    monkeypatch.setattr(type(page.predictor.model), '_run', lambda model, scans: seen.append(len(scans)) or run(model, scans))
    steps = page.outline(str(tmp_path / 'many.mat'), '', SIDE, 0.5, 0.7)
    next(steps), next(steps)
    steps.close()
    assert sum(seen) == 4


@pytest.mark.parametrize(('options', 'named'), [
    (['--port', '70000'], '--port 70000'), (['--max-upload', '0'], '--max-upload'), (['--host', ''], '--host'),
    (['--host', 'nosuchhost.invalid'], 'nosuchhost.invalid'), (['--auth', 'none'], 'none'),
    (['--model', 'none.onnx', '--port', '17923'], 'none.onnx'),
])  # fmt: skip
def test_bad_options_are_one_line_and_status_2(command, options, named, capsys, tmp_path):
    status, errors = command(*options), capsys.readouterr().err
    assert status == 2 and errors.count('\n') == 1 and named in errors and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('options', 'warned'), [
    ([], False), (['--host', '0.0.0.0'], True), (['--host', '0.0.0.0', '--auth', 'users'], False),
])  # fmt: skip
def test_a_page_that_others_can_use_warns(command, tmp_path, monkeypatch, capsys, options, warned):
    (tmp_path / 'users').write_text('anna:secret\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, 'serve', lambda args, users: None)
    assert command('--port', '17924', *options) == 0
    assert ('warning: ' in capsys.readouterr().err) is warned and [path.name for path in tmp_path.iterdir()] == ['users']


@pytest.mark.parametrize(('content', 'users'), [
    ('anna:pass:word\n\n bert : x y \n', [('anna', 'pass:word'), ('bert', ' x y ')]), ('\n', None), ('anna:a\nsecret\n', None),
    (':secret\n', None), ('anna:secret\nanna:b\n', None),
])  # fmt: skip
def test_users_and_files_that_name_none_which_are_not_shown(tmp_path, content, users):
    (tmp_path / 'users').write_text(content, encoding='utf-8-sig')
    if users:
        assert cli.read_users(tmp_path / 'users') == users
        return
    with pytest.raises(InputError, match='NAME:PASSWORD') as error:
        cli.read_users(tmp_path / 'users')
    assert 'secret' not in str(error.value)
