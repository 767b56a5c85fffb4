"""What the page does, without a browser and without a server."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.predictor import Predictor
from octfluid.utils.errors import InputError
from octfluid.webapp.session import Limits
from octfluid.webapp.shelf import Shelf

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
from octfluid.webapp import app, layout

FRAMES = np.stack([make_phantom(seed, 96, 128, fluid=True)[0] for seed in range(3)])
ANNA, BERT = (SimpleNamespace(username=None, session_hash=name) for name in ('a', 'b'))
SIDE = next(iter(layout.SIDES))


@pytest.fixture
def acts(tmp_path):
    return app.Page(Predictor(threads=1), Shelf(tmp_path / 'shelf'), Limits())


@pytest.fixture
def volume(tmp_path):
    savemat(tmp_path / 'v.mat', {'images': FRAMES.transpose(1, 2, 0)})
    return str(tmp_path / 'v.mat')


def said(acts, path, request, scale='0.004, 0.01, 0.2'):
    return list(acts.outline(path, scale, SIDE, 0.5, 0.7, request))


def test_progress_with_the_time_left(acts, volume, monkeypatch):
    monkeypatch.setattr(app, '_SECONDS_BETWEEN_STEPS', -1)
    now = iter([0.0] * 3 + [10.0, 20.0, 30.0] + [30.0] * 50)
    monkeypatch.setattr(app, 'time', SimpleNamespace(monotonic=lambda: next(now)))
    bars = [progress for _, progress, *_ in said(acts, volume, ANNA) if progress]
    assert len(bars) == 3 and '<progress' in bars[0] and 'max="3" value="1"' in bars[0]
    assert 'B-scan 3 of 3, about 0 s left' in bars[2]
    assert layout.progress_bar(2, 61, 59.6).startswith('<label for="octfluid-progress">B-scan 2 of 61, about 60 s left</label>')


def test_nobody_sees_the_scan_of_another(acts, volume):
    said(acts, volume, ANNA)
    assert acts.redraw(True, 1, 0.7, ANNA)[1].endswith('v_z001.png')
    status, picture = acts.redraw(True, 1, 0.7, BERT)
    assert status == app._GONE and not isinstance(picture, str)
    assert acts.pack(BERT)[0] == app._GONE
    assert acts.pack(ANNA)[1]['value'].endswith('octfluid_v.zip')


def test_an_earlier_scan_is_gone_once_another_is_begun(acts, volume, tmp_path):
    said(acts, volume, ANNA)
    (tmp_path / 'bad.png').write_text('text')
    *_, last = said(acts, str(tmp_path / 'bad.png'), ANNA)
    assert last[0].replace('\\', '').startswith('**Not done.** bad.png: not a PNG')
    assert acts.pack(ANNA)[0] == app._GONE and list((tmp_path / 'shelf').iterdir()) == []


def test_a_click_on_the_map_leads_to_the_b_scan(acts, volume):
    said(acts, volume, ANNA)
    places = [acts.go_to(ANNA, SimpleNamespace(index=[5, row])) for row in (1, 10**6)]
    assert places[0] == 0 and not isinstance(places[1], int)


def test_no_file_is_fetched_from_an_address(acts, tmp_path):
    page = app.build_page(acts, tmp_path)
    (file,) = (block for block in page.blocks.values() if block.elem_id == 'file')
    with pytest.raises(InputError, match='has to be uploaded'):
        asyncio.run(file.async_move_resource_to_block_cache('http://127.0.0.1:9/x.png'))
    Image.fromarray(FRAMES[0]).save(tmp_path / 'x.png')
    assert asyncio.run(file.async_move_resource_to_block_cache(str(tmp_path / 'x.png'))).endswith('x.png')
