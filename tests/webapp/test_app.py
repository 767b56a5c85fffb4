"""What the page and its command do, without a browser."""

import socket
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.utils.cli import exit_status_of
from octfluid.utils.errors import InputError
from octfluid.webapp import cli

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
from octfluid.webapp import app

pytestmark = pytest.mark.usefixtures('quick')
SIDE = next(iter(app.SIDES))


@pytest.fixture
def acts(predictor):
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


def test_a_volume_is_outlined_looked_at_and_packed(acts, volume, frames):
    steps = list(acts.outline(str(volume), '0.004, 0.01, 0.2', SIDE, 0.5, 0.7))
    assert [status.partition(', about')[0] for status, *_ in steps[1:-1]] == [f'Outlining: B-scan {n} of 3' for n in (1, 2, 3)]
    status, viewed, picture, place, mapped, table, *_ = steps[-1]
    masks = frames > 128
    assert f'{masks.sum()} px' in status and [row[1] for row in table] == list(masks.sum(axis=(1, 2)))
    assert (place['value'], place['maximum'], mapped['visible']) == (1, 2, True)
    np.testing.assert_array_equal(picture, acts.redraw(viewed, 1, 0.7))
    assert (acts.redraw(viewed, 2, 0.7) != picture).any()
    _, lower, *_ = acts.rethreshold(viewed, 0.1, 1, 0.7)
    assert lower.prediction.masks.sum() > masks.sum()
    places = [acts.go_to(viewed, SimpleNamespace(index=[5, row])) for row in (1, 10**6)]
    assert places[0] == 0 and not isinstance(places[1], int)
    for update in acts.pack(viewed):
        with open(update['value'], 'rb') as file:
            assert update['value'].endswith('octfluid_v.zip') and file.read(2) == b'PK'


def test_nothing_is_there_before_a_scan_is_outlined(acts):
    ((status, viewed, *_),) = acts.outline(None, '', SIDE, 0.5, 0.7)
    assert 'file' in status and viewed is None
    for skipped in (acts.redraw(None, 0, 0.7), acts.go_to(None, None), *acts.rethreshold(None, 0.5, 0, 0.7), *acts.pack(None)):
        assert skipped == app.gr.skip()


@pytest.mark.parametrize(('name', 'scale', 'said'), [
    ('bad.png', '', 'bad.png: '), ('good.png', '4', 'scale "4"'), ('<b>[x](y).png', '', r'\<b\>\[x\]\(y\)\.png'),
])  # fmt: skip
def test_a_bad_file_is_explained_in_words(acts, frames, tmp_path, name, scale, said):
    path = tmp_path / name
    if name == 'good.png':
        Image.fromarray(frames[0]).save(path)
    else:
        path.write_text('text')
    *_, (status, viewed, *_) = acts.outline(str(path), scale, SIDE, 0.5, 0.7)
    assert said in (status if '[' in name else status.replace('\\', '')) and str(tmp_path) not in status.replace('\\', '')
    assert status.startswith('**Not done.**') and viewed is None


def test_to_close_the_work_stops_the_model(acts, frames, tmp_path, monkeypatch):
    savemat(tmp_path / 'many.mat', {'images': np.concatenate([frames] * 10).transpose(1, 2, 0)})
    run, seen = type(acts.predictor.model)._run, []
    monkeypatch.setattr(type(acts.predictor.model), '_run', lambda model, scans: seen.append(len(scans)) or run(model, scans))
    steps = acts.outline(str(tmp_path / 'many.mat'), '', SIDE, 0.5, 0.7)
    next(steps), next(steps)
    steps.close()
    assert sum(seen) == 4


@pytest.mark.parametrize(('options', 'named'), [
    (['--port', '70000'], '--port 70000'), (['--max-upload', '0'], '--max-upload 0'), (['--host', ''], '--host'),
    (['--host', 'nosuchhost.invalid'], 'nosuchhost.invalid'), (['--auth', 'none'], 'none'),
    (['--model', 'none.onnx', '--port', '17923'], 'none.onnx'),
])  # fmt: skip
def test_bad_options_are_one_line_and_status_2(command, options, named, capsys, tmp_path):
    status, errors = command(*options), capsys.readouterr().err
    assert status == 2 and errors.count('\n') == 1 and named in errors and list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_refused(command, capsys):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = str(taken.getsockname()[1])
        assert command('--port', port) == 2 and port in capsys.readouterr().err


@pytest.mark.parametrize(('options', 'warned'), [
    ([], False), (['--host', '0.0.0.0'], True), (['--host', '0.0.0.0', '--auth', 'users'], False),
])  # fmt: skip
def test_a_page_that_others_can_use_warns(command, tmp_path, monkeypatch, capsys, options, warned):
    (tmp_path / 'users').write_text('anna:secret\n')
    monkeypatch.chdir(tmp_path)
    served = []
    monkeypatch.setattr(cli, 'serve', lambda args, users: served.append(users))
    assert command('--port', '17924', *options) == 0
    assert served == [[('anna', 'secret')] if '--auth' in options else None]
    assert ('warning: ' in capsys.readouterr().err) is warned and [path.name for path in tmp_path.iterdir()] == ['users']


def test_users(tmp_path):
    (tmp_path / 'users').write_text('anna:pass:word\n\n bert : x y \n', encoding='utf-8-sig')
    assert cli.read_users(tmp_path / 'users') == [('anna', 'pass:word'), ('bert', ' x y ')]


@pytest.mark.parametrize('content', ['\n', 'anna:a\nsecret\n', ':secret\n', 'anna:secret\nanna:b\n'])
def test_files_that_name_no_users_are_refused_and_not_shown(tmp_path, content):
    (tmp_path / 'users').write_text(content)
    with pytest.raises(InputError, match='NAME:PASSWORD') as error:
        cli.read_users(tmp_path / 'users')
    assert 'secret' not in str(error.value)
