"""The page with several visitors at once: each gets the answer that it gets alone, and nothing is left when it ends."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from page_server import serving
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom

gradio_client = pytest.importorskip('gradio_client', reason='gradio is not installed (octfluid[app])')
httpx = pytest.importorskip('httpx')
FRAMES = np.stack([make_phantom(seed, 160, 224, fluid=True)[0] for seed in range(3)])
MEGABYTES = 8  # of the largest upload


@pytest.fixture
def uploads(tmp_path):
    """A B-scan, a volume, and two files that are neither."""
    Image.fromarray(FRAMES[0]).save(tmp_path / 'b.png')
    savemat(tmp_path / 'v.mat', {'images': FRAMES.transpose(1, 2, 0)})
    (tmp_path / 'text.png').write_text('a letter')
    (tmp_path / 'cut.png').write_bytes((tmp_path / 'b.png').read_bytes()[:9000])
    return [tmp_path / name for name in ('b.png', 'v.mat', 'text.png', 'cut.png')]


def outline(server, path):
    """Upload a scan as a new visitor; return the text of the answer and the bytes of the picture, or None."""
    client = gradio_client.Client(server.address, verbose=False, download_files=False)
    try:
        text, _, picture, *_ = client.predict(
            gradio_client.handle_file(str(path)), '', 'as the file says', 0.5, 0.7, api_name='/outline'
        )
        url = picture.get('url') if isinstance(picture, dict) else None
        return text, httpx.get(url, timeout=60).content if url else None
    finally:
        client.close()


def test_visitors_at_once(tmp_path, uploads):
    (tmp_path / 'temporary').mkdir()
    with serving(tmp_path / 'temporary', '--max-upload', MEGABYTES) as server:
        alone = [outline(server, path) for path in uploads]
        assert [picture is not None for _, picture in alone] == [True, True, False, False]
        with ThreadPoolExecutor(8) as pool:
            together = [pool.submit(outline, server, path) for _ in range(2) for path in uploads]
            huge = {'files': ('huge.png', io.BytesIO(bytes((MEGABYTES + 4) << 20)))}
            refused = httpx.post(f'{server.address}/gradio_api/upload', files=huge, timeout=120)
            assert [job.result() for job in together] == 2 * alone
        assert refused.status_code == 413
        said = server.said()
        assert 'Traceback' not in said and not [path for path in uploads if path.name in said], 'the log names a scan'
        assert server.files()
    assert server.files() == []


def test_the_next_server_removes_the_files_of_a_killed_one(tmp_path, uploads):
    (tmp_path / 'temporary').mkdir()
    with serving(tmp_path / 'temporary') as server:
        outline(server, uploads[0])
        server.process.kill()
    assert server.files()
    with serving(tmp_path / 'temporary') as server:
        assert server.files() == []
