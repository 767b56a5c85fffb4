"""The page in a real browser. Needs Playwright and Chromium."""

import io
import shutil
import zipfile

import numpy as np
import pytest
from page_server import serving
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.model import ScanModel

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason='no chromium on this machine')]
FRAMES = np.stack([make_phantom(seed, 160, 224, fluid=True)[0] for seed in range(5)])


@pytest.fixture
def page(tmp_path):
    """The page; at the end no request has gone elsewhere, and nothing of a scan stays in the browser."""
    requests = []
    (tmp_path / 'temporary').mkdir()
    with serving(tmp_path / 'temporary') as server, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        page = browser.new_page(accept_downloads=True)
        page.on('request', lambda request: requests.append(request.url))
        page.goto(server.address)
        page.wait_for_selector('#start')
        yield page
        kept = 'async () => [await indexedDB.databases(), localStorage.length, sessionStorage.length]'
        assert page.evaluate(kept) == [[], 0, 0]
        browser.close()
        assert [url for url in requests if not url.startswith((f'{server.address}/', 'data:', 'blob:'))] == []


def test_a_volume_its_slider_map_threshold_and_zip(page, tmp_path):
    savemat(tmp_path / 'volume.mat', {'images': FRAMES.transpose(1, 2, 0)})
    page.fill('#spacing input, #spacing textarea', '0.004, 0.012, 0.25')
    page.set_input_files('#file input[type=file]', str(tmp_path / 'volume.mat'))
    page.wait_for_selector('#file >> text=/volu/')
    page.click('#start')
    page.wait_for_selector('#status >> text=/fluid in 5 of 5 B-scans/', timeout=60_000)
    old = page.locator('#picture img').evaluate('image => image.src')
    page.locator('#place input[type=range]').press('ArrowRight')
    page.wait_for_function('old => document.querySelector("#picture img").src !== old', arg=old)
    page.locator('#enface img').click(position=dict(x=100, y=1))  # the first B-scan is at the top
    page.wait_for_function('document.querySelector("#place input[type=range]").value === "0"')
    summary = page.inner_text('#status .prose')
    page.locator('#threshold input[type=range]').press('ArrowRight')
    page.wait_for_function('old => document.querySelector("#status .prose").innerText !== old', arg=summary)
    page.locator('#threshold input[type=range]').press('ArrowLeft')
    page.wait_for_function('old => document.querySelector("#status .prose").innerText === old', arg=summary)
    page.click('#save')
    page.wait_for_selector('#archive a', timeout=60_000)
    with page.expect_download() as download:
        page.click('#archive a')
    archive = zipfile.ZipFile(download.value.path())
    for place, mask in enumerate(ScanModel(threads=1).mask(FRAMES)):
        (name,) = (name for name in archive.namelist() if name.endswith(f'_z{place:03d}_mask.png'))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))) == 255, mask)
    page.click('#example')
    page.wait_for_selector('#status >> text=/example/', timeout=60_000)
