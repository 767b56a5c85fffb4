"""The page in a real browser: a B-scan, a volume, the slider, a bad file, the ZIP. Needs Playwright and Chromium."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.model import ScanModel

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason='no chromium on this machine')
ROOT = Path(__file__).resolve().parents[2]
FRAMES = np.stack([make_phantom(seed, 160, 224, fluid=True)[0] for seed in range(5)])


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """Address of a page that is served by the command."""
    import socket

    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    temporary = tmp_path_factory.mktemp('temporary')
    environment = {**os.environ, 'TMPDIR': str(temporary)}
    process = subprocess.Popen(
        [sys.executable, ROOT / 'tools/app.py', '--port', str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )
    line = process.stdout.readline()
    assert line == f'serving http://127.0.0.1:{port} (Ctrl-C ends it)\n'
    yield f'http://127.0.0.1:{port}'
    process.terminate()
    assert process.wait(20) == 143
    left = [path for path in temporary.rglob('*') if path.is_file() and path.suffix]
    assert left == [], 'scans or results are left behind'


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, address):
    """Opens the page, wide or narrow; at the end no request has gone elsewhere."""
    requests, contexts = [], []

    def call(width=1280, height=900):
        context = browser.new_context(viewport=dict(width=width, height=height), accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: requests.append(request.url))
        page.goto(address)
        page.wait_for_selector('#start')
        return page

    yield call
    for context in contexts:
        context.close()
    elsewhere = [url for url in requests if not url.startswith((address, 'data:', 'blob:', address.replace('http', 'ws')))]
    assert elsewhere == []


def outline(page, path, words='Fluid'):
    page.set_input_files('#file input[type=file]', str(path))
    page.wait_for_selector(f'#file >> text=/{re.escape(path.stem[:4])}/')
    page.click('#start')
    page.wait_for_selector(f'#status >> text=/{words}/', timeout=60_000)


def shown(page):
    """Pixels of the picture."""
    page.wait_for_selector('#picture img')
    url = page.get_attribute('#picture img', 'src')
    return np.asarray(Image.open(io.BytesIO(page.request.get(url).body())).convert('RGB')).astype(int)


def test_a_b_scan(visit, tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / 'bscan.png')
    page = visit()
    assert 'For research only' in page.inner_text('body')
    outline(page, tmp_path / 'bscan.png')
    expected = ScanModel(threads=1).mask(FRAMES[:1])[0]
    assert f'Fluid: {expected.sum()} px' in page.inner_text('#status')
    assert 'no scale' in page.inner_text('#status')
    picture = shown(page)
    coloured = np.ptp(picture, axis=2) > 20
    small = np.asarray(Image.fromarray(coloured).resize(expected.shape[::-1], Image.NEAREST))
    assert (small != expected).mean() < 0.02
    page.screenshot(path=tmp_path / 'desktop.png')


def test_a_volume_its_slider_and_its_zip(visit, tmp_path):
    savemat(tmp_path / 'volume.mat', {'images': FRAMES.transpose(1, 2, 0)})
    page = visit(390, 844)
    page.fill('#spacing input, #spacing textarea', '0.004, 0.012, 0.25')
    outline(page, tmp_path / 'volume.mat', 'Fluid in 5 of 5 B-scans')
    assert 'mm³' in page.inner_text('#status')
    assert page.is_visible('#enface img')
    before = shown(page)
    old = page.locator('#picture img').evaluate('image => image.src')
    slider = page.locator('#place input[type=range]')
    slider.focus()
    slider.press('ArrowRight')  # by keyboard
    page.wait_for_function('old => document.querySelector("#picture img").src !== old', arg=old)
    assert (shown(page) != before).any()
    threshold = page.locator('#threshold input[type=range]')
    summary = page.inner_text('#status')
    threshold.focus()
    threshold.press('ArrowRight')  # by keyboard too
    page.wait_for_function('old => document.querySelector("#status").innerText !== old', arg=summary)
    threshold.press('ArrowLeft')
    page.wait_for_function('old => document.querySelector("#status").innerText === old', arg=summary)
    page.click('#save')
    page.wait_for_selector('#archive a', timeout=60_000)
    with page.expect_download() as download:
        page.click('#archive a')
    archive = zipfile.ZipFile(download.value.path())
    masks = ScanModel(threads=1).mask(FRAMES)
    for place, mask in enumerate(masks):
        (name,) = (name for name in archive.namelist() if name.endswith(f'_z{place:03d}_mask.png'))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))) == 255, mask)
    # Nothing stands out of a phone's width.
    assert page.evaluate('document.documentElement.scrollWidth') <= 390 + 2
    page.screenshot(path=tmp_path / 'phone.png', full_page=True)


def test_a_bad_file_is_said_and_the_page_goes_on(visit, tmp_path):
    (tmp_path / 'letter.png').write_text('a letter')
    page = visit()
    outline(page, tmp_path / 'letter.png', 'Not done')
    assert 'letter.png: not a PNG, JPEG, BMP or TIFF picture' in page.inner_text('#status')
    assert page.locator('#save').is_disabled()
    page.click('#example')
    page.wait_for_selector('#status >> text=/Fluid/', timeout=60_000)
    page.wait_for_selector('#picture img')
