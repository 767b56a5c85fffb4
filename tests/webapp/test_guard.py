import asyncio

import pytest

httpx = pytest.importorskip('httpx', reason='gradio is not installed (octfluid[app])')
from octfluid.webapp.guard import HEADERS, Guard  # noqa: E402

PAGE = '/gradio_api/'


@pytest.fixture
def ask(tmp_path):
    """Asks a guard around an application that answers everything; what got to that is in `ask.seen`."""
    kept = tmp_path / 'gradio'
    kept.mkdir()

    async def answer(scope, receive, send):
        ask_.seen.append(scope['path'])
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        await send({'type': 'http.response.body', 'body': b'answered'})

    def ask_(method, path, **options):
        async def call():
            transport = httpx.ASGITransport(Guard(answer, kept, max_upload=1 << 20, max_kept=3_000_000))
            async with httpx.AsyncClient(transport=transport, base_url='http://page') as client:
                return await client.request(method, path, **options)

        return asyncio.run(call())

    ask_.seen, ask_.folder = [], kept
    return ask_


@pytest.mark.parametrize('path', [
    '/', '/config', '/login', '/theme.css', '/assets/index.js', '/static/a/b.js', PAGE + 'queue/data?session_hash=a',
    PAGE + 'heartbeat/abc1', PAGE + 'info',
])  # fmt: skip
def test_what_the_page_needs_is_open(ask, path):
    answer = ask('GET', path)
    assert answer.status_code == 200 and answer.text == 'answered'
    assert all(answer.headers[name] == value for name, value in HEADERS.items())


@pytest.mark.parametrize('path', [
    '/monitoring', '/monitoring/summary', '/docs', '/openapi.json', '/svelte/x', PAGE + 'deep_link?session_hash=a',
    PAGE + 'proxy=http://a.org/', PAGE + 'component_server', PAGE + 'run-history/records', PAGE + 'queue/status',
    PAGE + 'token', PAGE + 'runs', PAGE + 'run/outline',
    PAGE + 'file=http://a.org/x.png', PAGE + 'file=https://a.org/x.png', PAGE + 'file=/etc/passwd', PAGE + 'file=x.png',
    PAGE + 'file=', PAGE + 'file=//a.org/x.png', PAGE + 'stream/a/1/2/playlist.m3u8', '/config/../docs',
])  # fmt: skip
def test_everything_else_is_shut(ask, path):
    assert ask('GET', path).status_code == 404 and ask.seen == []


def test_only_files_of_the_page_are_served(ask):
    (ask.folder / 'a').mkdir()
    (ask.folder / 'a/x.png').write_bytes(b'1')
    (ask.folder / 'a/link').symlink_to('/etc')
    assert ask('GET', f'{PAGE}file={ask.folder}/a/x.png').headers['cache-control'] == 'no-store'
    for outside in (f'{ask.folder}/../secret', f'{ask.folder}/a/link/passwd', f'{ask.folder}x', f'{ask.folder}/a/%00'):
        assert ask('GET', f'{PAGE}file={outside}').status_code == 404
    assert len(ask.seen) == 1


def test_uploads_have_a_limit_and_it_is_said(ask):
    assert ask('POST', PAGE + 'upload', content=b'0' * 1_000_000).status_code == 200
    answer = ask('POST', PAGE + 'upload', content=b'0' * 1_200_000)
    assert answer.status_code == 413 and 'a file of at most 1 MB is taken' in answer.text
    assert ask('POST', PAGE + 'queue/join', content=b'0' * 1_200_000).status_code == 413
    assert len(ask.seen) == 1


def test_an_upload_of_no_declared_length_is_refused(ask):
    async def pieces():
        yield b'0'

    assert ask('POST', PAGE + 'upload', content=pieces()).status_code == 411 and ask.seen == []


def test_uploads_end_before_the_disk_is_full(ask):
    (ask.folder / 'old').write_bytes(b'0' * 2_500_000)
    assert ask('POST', PAGE + 'upload', content=b'0' * 400_000).status_code == 200
    answer = ask('POST', PAGE + 'upload', content=b'0' * 600_000)
    assert answer.status_code == 503 and 'come back' in answer.text


@pytest.mark.parametrize(('asked', 'kept'), [
    ('bytes=0-5', True), ('bytes=7-', True), ('bytes=-5', True),
    ('bytes=0-1-2', False), ('bytes=0-0,5-6', False), ('x', False), ('bytes=' + '9' * 30 + '-', False),
])  # fmt: skip
def test_of_a_range_that_gradio_fails_on_all_is_sent(tmp_path, asked, kept):
    seen = []

    async def answer(scope, receive, send):
        seen.append(any(name == b'range' for name, _ in scope['headers']))

    scope = dict(type='http', method='GET', path='/', headers=[(b'range', asked.encode())])
    asyncio.run(Guard(answer, tmp_path, max_upload=1, max_kept=1)(scope, None, None))
    assert seen == [kept]
