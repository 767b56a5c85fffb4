import hashlib
import io
import os
import shutil
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / 'scripts'
MODEL = 'pspnet_unet_s5-d16_256x256_40k_hrf'
FILE = f'{MODEL}_20201227_181818-fdb7e29b.pth'
NOWHERE = 'http://127.0.0.1:9/nothing'

pytestmark = pytest.mark.skipif(not (shutil.which('curl') or shutil.which('wget')), reason='neither curl nor wget is installed')


class Handler(BaseHTTPRequestHandler):
    """Serves the server's ``files`` (bytes by path), with or without ranges; notes the Range header of every request."""

    def do_GET(self):
        asked = self.headers.get('Range')
        self.server.ranges.append(asked)
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix('bytes=').partition('-')[0]) if asked and self.server.resumable else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header('Content-Range', f'bytes {start}-{len(content) - 1}/{len(content)}')
        self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.files, server.ranges, server.resumable = {}, [], True
        server.url = f'http://127.0.0.1:{server.server_address[1]}'
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def root(tmp_path):
    """A repository that holds only the download scripts."""
    shutil.copytree(SCRIPTS, tmp_path / 'repo/scripts')
    return tmp_path / 'repo'


def run(root, script, *arguments, **environment):
    clean = {key: value for key, value in os.environ.items() if 'proxy' not in key.lower()}
    command = ['bash', f'scripts/{script}', *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, env={**clean, **environment})


def archive(members=(('2015_BOE_Chiu/Subject_01.mat', b'content' * 500), ('manual1/01_h.tif', b'x'))):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as opened:
        for name, content in members:
            opened.writestr(name, content)
    return buffer.getvalue()


def expect_digest_of(root, content):
    """Let the script expect this content in place of the 116 MB file: same name but for the digits."""
    digits = hashlib.sha256(content).hexdigest()[:8]
    script = root / 'scripts/download_checkpoints.sh'
    text = script.read_text()
    assert text.count('fdb7e29b') == 1
    script.write_text(text.replace('fdb7e29b', digits))
    return FILE.replace('fdb7e29b', digits)


def test_data_are_fetched_unpacked_and_kept(root, server):
    server.files['/duke.zip'] = archive()
    environment = {'OCTFLUID_DUKE_URL': f'{server.url}/duke.zip'}
    done = run(root, 'download_data.sh', 'duke', **environment)
    assert done.returncode == 0, done.stderr
    assert (root / 'data/raw/duke/2015_BOE_Chiu/Subject_01.mat').read_bytes() == b'content' * 500
    assert done.stdout.endswith('python tools/dataset_converters/duke_dme.py data/raw/duke --out data/duke_dme\n')
    assert sorted(path.name for path in (root / 'data/raw').iterdir()) == ['2015_BOE_Chiu2.zip', 'duke']
    assert run(root, 'download_data.sh', 'duke', **environment).returncode == 0
    assert len(server.ranges) == 1


@pytest.mark.parametrize('resumable', [True, False])
@pytest.mark.parametrize('had', [lambda content: content[:1000], lambda content: b'x' * (len(content) + 10)])
def test_interrupted_transfer_is_resumed_or_begun_anew(root, server, resumable, had):
    content, part = archive(), root / 'data/raw/all.zip.part'
    part.parent.mkdir(parents=True)
    server.files['/all.zip'], server.resumable = content, resumable
    part.write_bytes(had(content))
    done = run(root, 'download_data.sh', 'hrf', OCTFLUID_HRF_URL=f'{server.url}/all.zip')
    assert done.returncode == 0, done.stderr
    assert server.ranges[0] == f'bytes={len(had(content))}-'
    assert (root / 'data/raw/all.zip').read_bytes() == content and (root / 'data/raw/hrf').is_dir()


def test_offline_says_where_to_put_the_file_and_uses_it(root):
    done = run(root, 'download_data.sh', 'duke', OCTFLUID_DUKE_URL=NOWHERE)
    assert done.returncode == 1 and 'data/raw/2015_BOE_Chiu2.zip' in done.stderr
    assert not list((root / 'data/raw').iterdir())
    # What a killed process has half unpacked goes.
    (root / 'data/raw/.tmp-duke-12345678').mkdir()
    (root / 'data/raw/2015_BOE_Chiu2.zip').write_bytes(archive())
    assert run(root, 'download_data.sh', 'duke', OCTFLUID_DUKE_URL=NOWHERE).returncode == 0
    assert sorted(path.name for path in (root / 'data/raw').iterdir()) == ['2015_BOE_Chiu2.zip', 'duke']
    assert (root / 'data/raw/duke/2015_BOE_Chiu').is_dir()


@pytest.mark.parametrize('content', [
    b'<html>moved</html>', archive([('../escaped.txt', b'x')]), archive([('/abs.txt', b'x')]), archive([]),
    archive().replace(b'contentcontent', b'contentCONTENT', 1), archive([('HRF/manual1/01_h.tif', b'x')]),
])  # fmt: skip
def test_bad_archives_are_refused(root, server, content):
    server.files['/duke.zip'] = content
    done = run(root, 'download_data.sh', 'duke', OCTFLUID_DUKE_URL=f'{server.url}/duke.zip')
    assert done.returncode == 1
    assert not list((root / 'data/raw').iterdir())
    assert sorted(path.name for path in root.iterdir()) == ['data', 'scripts']


def test_checkpoint_is_fetched_resumed_and_verified(root, server):
    content = bytes(range(256)) * 20
    name = expect_digest_of(root, content)
    server.files[f'/unet/{MODEL}/{name}'] = content
    (root / 'checkpoints').mkdir()
    (root / f'checkpoints/{name}.part').write_bytes(content[:999])
    done = run(root, 'download_checkpoints.sh', OCTFLUID_CHECKPOINT_URL=f'{server.url}/unet')
    assert done.returncode == 0, done.stderr
    assert server.ranges == ['bytes=999-']
    assert [path.name for path in (root / 'checkpoints').iterdir()] == [name]
    assert (root / f'checkpoints/{name}').read_bytes() == content


def test_checkpoint_with_another_digest_is_refused(root, server):
    server.files[f'/{MODEL}/{FILE}'] = b'something else'
    done = run(root, 'download_checkpoints.sh', 'pspnet', OCTFLUID_CHECKPOINT_URL=f'{server.url}/')
    assert done.returncode == 1 and 'fdb7e29b' in done.stderr
    assert not list((root / 'checkpoints').iterdir())
