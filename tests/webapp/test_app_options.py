import os
import signal
import socket
import sys

import pytest

from octfluid.utils.errors import InputError, Interrupted
from octfluid.webapp import cli as app


@pytest.mark.parametrize(('options', 'said'), [
    (['--port', '0'], '--port 0: expected 1 to 65535'),
    (['--port', 'x'], "argument --port: invalid int value: 'x'"),
    (['--max-upload', '0'], '--max-upload 0: expected 1 MB or more'),
    (['--max-upload', '1.5'], "argument --max-upload: invalid int value: '1.5'"),
    (['--timeout', '0'], '--timeout 0: expected a number of seconds above 0'),
    (['--timeout', '-3'], '--timeout -3: expected a number of seconds above 0'),
    (['--timeout', 'nan'], '--timeout nan: expected a number of seconds above 0'),
    (['--timeout', 'inf'], '--timeout inf: expected a number of seconds above 0'),
    (['--shared'], 'unrecognized arguments: --shared'),
])  # fmt: skip
def test_bad_options(options, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['app.py', *options])
    with pytest.raises(SystemExit) as end:
        app.parse_args()
    assert end.value.code == 2
    assert capsys.readouterr().err == f'error: {said} (see app.py --help)\n'


def test_users(tmp_path):
    (tmp_path / 'users').write_text('anna:pass:word\n\n bert : x y \n', encoding='utf-8-sig')  # as some editors on Windows do
    assert app.read_users(tmp_path / 'users') == [('anna', 'pass:word'), ('bert', ' x y ')]


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'no users; expected a line NAME:PASSWORD for each'),
    (b'\n', 'no users; expected a line NAME:PASSWORD for each'),
    (b'anna:a\nsecret\n', 'line 2: expected NAME:PASSWORD, each name once'),
    (b':secret\n', 'line 1: expected NAME:PASSWORD, each name once'),
    (b'anna:\n', 'line 1: expected NAME:PASSWORD, each name once'),
    (b'anna:a\nanna:b\n', 'line 2: expected NAME:PASSWORD, each name once'),
    (b'\xff\xfe', 'not UTF-8 at byte 0; expected a UTF-8 text file with a line NAME:PASSWORD for each user'),
    (None, 'no such file; expected a file with a line NAME:PASSWORD for each user'),
])  # fmt: skip
def test_users_that_are_none(tmp_path, content, said):
    path = tmp_path / 'users'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        app.read_users(path)
    assert str(error.value) == f'--auth {path}: {said}'  # and no password


@pytest.mark.parametrize(('host', 'local'), [
    ('127.0.0.1', True), ('localhost', True), ('127.8.0.1', True), ('::1', True), ('[::1]', True),
    ('0.0.0.0', False), ('10.0.0.7', False), ('::', False), ('clinic.example', False),
])  # fmt: skip
def test_who_can_reach_an_address(host, local):
    assert app.is_local(host) is local


@pytest.mark.parametrize(('options', 'warned'), [
    ([], False), (['--host', '0.0.0.0'], True), (['--host', '0.0.0.0', '--auth', 'users'], False),
])  # fmt: skip
def test_a_page_that_is_open_to_everybody_warns(tmp_path, monkeypatch, capsys, options, warned):
    (tmp_path / 'users').write_text('anna:secret\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['app.py', *options])
    monkeypatch.setattr(app.tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setattr(app.os, 'environ', dict(os.environ))
    served = []
    monkeypatch.setattr(app, 'serve', lambda args, users, folder: served.append(users))
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    app.main()
    # Left to `exit_status_of`: what nohup has ignored stays so.
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == handlers
    assert served == [[('anna', 'secret')] if '--auth' in options else None]
    said = 'warning: whoever reaches 0.0.0.0:7860 can use the page; --auth FILE asks for a password\n'
    assert capsys.readouterr().err == (said if warned else '')


@pytest.mark.parametrize('host', ['nosuchhost.invalid', '192.0.2.1'])
def test_an_address_that_is_none_of_this_computer(host):
    with pytest.raises(InputError, match=f'--host {host}: no address of this computer'):
        app.require_address(host, 7860)


def test_a_port_that_is_taken():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f'--port {port}: Address already in use; choose another'):
            app.require_address('127.0.0.1', port)
    app.require_address('127.0.0.1', port)


@pytest.mark.parametrize(
    ('host', 'shown'), [('::1', '[::1]'), ('[::1]', '[::1]'), ('127.0.0.1', '127.0.0.1'), ('a.org', 'a.org')]
)
def test_an_address_has_brackets_where_it_needs_them(host, shown):
    assert app.in_address(host) == shown


@pytest.mark.parametrize('host', ['', '\udcff'])
def test_a_host_that_is_no_name(host):
    with pytest.raises(InputError, match='--host'):
        app.require_address(host, 7860)


def test_a_signal_ends_a_page_without_a_word(tmp_path, monkeypatch, capsys):
    def end(*_):
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(sys, 'argv', ['app.py', '--port', '7867'])
    monkeypatch.setattr(app.tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setattr(app.os, 'environ', dict(os.environ))
    monkeypatch.setattr(app, 'serve', end)
    with pytest.raises(SystemExit) as ended:
        app.main()
    assert ended.value.code == 143 and capsys.readouterr() == ('', '') and list(tmp_path.iterdir()) == []
