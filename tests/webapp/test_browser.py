"""The page in a real browser: a B-scan, a volume, the slider, a bad file, the ZIP. Needs Playwright and Chromium."""

import io
import re
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from page_server import serving
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.model import ScanModel

pytest.importorskip('gradio', reason='gradio is not installed (octfluid[app])')
sync_api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason='no chromium on this machine')]
FRAMES = np.stack([make_phantom(seed, 160, 224, fluid=True)[0] for seed in range(5)])


@pytest.fixture(scope='module')
def server(tmp_path_factory):
    """A page that is served by the command."""
    with serving(tmp_path_factory.mktemp('temporary'), '--max-upload', '40') as server:
        yield server
    assert server.process.returncode == 143
    assert server.files() == [], 'scans or results are left behind'
    assert server.said() == f'serving {server.address} (Ctrl-C ends it)\n'


@pytest.fixture(scope='module')
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox'])
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, server):
    """Opens the page, wide or narrow; at the end no request has gone elsewhere."""
    requests, contexts, address = [], [], server.address

    def call(width=1280, height=900):
        context = browser.new_context(viewport=dict(width=width, height=height), accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: requests.append(request.url))
        page.on('websocket', lambda socket: requests.append(socket.url))
        page.goto(address)
        page.wait_for_selector('#start')
        return page

    yield call
    for context in contexts:
        context.close()
    elsewhere = [url for url in requests if not url.startswith((f'{address}/', 'data:', 'blob:'))]
    assert requests != [] and elsewhere == []


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
    assert 'nothing is in mm; give it in the field Scale' in page.inner_text('#status')
    picture = shown(page)
    coloured = np.ptp(picture, axis=2) > 20
    small = np.asarray(Image.fromarray(coloured).resize(expected.shape[::-1], Image.NEAREST))
    assert (small != expected).mean() < 0.02
    kept = 'async () => [await indexedDB.databases(), localStorage.length, sessionStorage.length, document.cookie]'
    assert page.evaluate(kept) == [[], 0, 0, '']  # nothing of a scan stays in the browser
    page.screenshot(path=tmp_path / 'desktop.png')


def test_a_volume_its_slider_and_its_zip(visit, tmp_path):
    savemat(tmp_path / 'volume.mat', {'images': FRAMES.transpose(1, 2, 0)})
    page = visit(360, 740)
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
    page.locator('#enface img').click(position=dict(x=100, y=1))  # the first B-scan is at the top
    page.wait_for_function('document.querySelector("#place input[type=range]").value === "0"')
    threshold = page.locator('#threshold input[type=range]')
    summary = page.inner_text('#status .prose')
    threshold.focus()
    threshold.press('ArrowRight')  # by keyboard too
    page.wait_for_function('old => document.querySelector("#status .prose").innerText !== old', arg=summary)
    threshold.press('ArrowLeft')
    page.wait_for_function('old => document.querySelector("#status .prose").innerText === old', arg=summary)
    page.click('#save')
    page.wait_for_selector('#archive a', timeout=60_000)
    with page.expect_download() as download:
        page.click('#archive a')
    archive = zipfile.ZipFile(download.value.path())
    masks = ScanModel(threads=1).mask(FRAMES)
    for place, mask in enumerate(masks):
        (name,) = (name for name in archive.namelist() if name.endswith(f'_z{place:03d}_mask.png'))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(archive.read(name)))) == 255, mask)
    command = [sys.executable, ROOT / 'tools/predict.py', tmp_path / 'volume.mat', '--out', tmp_path / 'out']
    subprocess.run([*command, '--spacing', '0.004,0.012,0.25'], check=True, capture_output=True)
    written = {path.relative_to(tmp_path / 'out').as_posix(): path for path in (tmp_path / 'out').rglob('*') if path.is_file()}
    assert sorted(archive.namelist()) == sorted(written)
    for name, path in written.items():
        if name.endswith(('.png', '.nii.gz', '.csv')):
            assert archive.read(name) == path.read_bytes(), name
    # Nothing stands out of a phone's width.
    assert page.evaluate('document.documentElement.scrollWidth') <= 360
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


@pytest.fixture
def large(tmp_path):
    """A volume that takes a while."""
    frames = np.stack([make_phantom(seed, 248, 384, fluid=True)[0] for seed in range(3)])
    savemat(tmp_path / 'large.mat', {'images': np.concatenate([frames] * 80).transpose(1, 2, 0)})
    return tmp_path / 'large.mat'


def test_progress_queue_and_cancel(visit, large, server):
    page, other = visit(), visit(360, 740)
    page.set_input_files('#file input[type=file]', str(large))
    page.wait_for_selector('#file >> text=/larg/')
    page.click('#start')
    page.wait_for_selector('#progress progress')
    assert re.fullmatch(r'B-scan \d+ of 240, about \d+ s left', page.inner_text('#progress label'))
    assert page.get_by_role('progressbar', name=re.compile('B-scan .* left')).count() == 1
    other.click('#example')
    other.wait_for_selector('#progress >> text=/queue: 1\\/1/')
    page.click('#cancel')
    page.wait_for_selector('#status >> text=/Cancelled/')
    other.wait_for_selector('#status >> text=/Fluid/', timeout=60_000)
    before = server.processor_seconds()
    time.sleep(1)
    assert server.processor_seconds() - before < 0.5  # the model does not go on, which would be near the number of cores
    assert 'Cancelled' in page.inner_text('#status') and page.locator('#progress progress').count() == 0


def test_who_goes_away_does_not_keep_the_model_busy(visit, large, server):
    page = visit()
    page.set_input_files('#file input[type=file]', str(large))
    page.wait_for_selector('#file >> text=/larg/')
    page.click('#start')
    page.wait_for_selector('#progress progress')
    page.close()
    time.sleep(2)
    before = server.processor_seconds()
    time.sleep(1)
    assert server.processor_seconds() - before < 0.5


def test_a_file_that_is_too_large_is_not_sent(visit, tmp_path):
    (tmp_path / 'huge.vol').write_bytes(bytes(41 << 20))
    page = visit()
    page.set_input_files('#file input[type=file]', str(tmp_path / 'huge.vol'))
    page.wait_for_selector('text=/exceed the maximum allowed size of 40/')
    page.click('#start')
    page.wait_for_selector('#status >> text=/Choose a file first/')
    assert page.locator('#save').is_disabled() and not page.locator('#picture img').count()


def choose_by_keyboard(page):
    """Press Enter until the browser asks for a file: on a busy machine the page hears keys late."""
    for _ in range(5):
        try:
            with page.expect_file_chooser(timeout=8000) as chooser:
                page.keyboard.press('Enter')
            return chooser.value
        except sync_api.TimeoutError:
            continue
    raise AssertionError('no file is asked for')


def test_the_whole_way_by_keyboard(visit, tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / 'bscan.png')
    page = visit()
    stops = []
    while not stops or stops[-1] != 'threshold':
        page.keyboard.press('Tab')
        stops.append(page.evaluate('document.activeElement.closest("[id]:not(input)")?.id'))
        if stops == ['file']:
            choose_by_keyboard(page).set_files(tmp_path / 'bscan.png')
            page.wait_for_selector('#file >> text=/bsca/')
        if stops[-1] == 'start':
            page.keyboard.press('Enter')
            page.wait_for_selector('#status >> text=/Fluid/', timeout=60_000)
        assert len(stops) < 40
    assert [name for name in ('start', 'cancel', 'example', 'save', 'opacity', 'threshold') if name not in stops] == []


def test_a_password_is_asked_for(browser, tmp_path):
    (tmp_path / 'users').write_text('anna:a secret\n')
    (tmp_path / 'temporary').mkdir()
    with serving(tmp_path / 'temporary', '--auth', tmp_path / 'users') as server:
        page = browser.new_page()
        page.goto(server.address)
        for password, outcome in (('another', 'text=/Incorrect/'), ('a secret', '#start')):
            page.get_by_label('username').fill('anna')
            page.get_by_label('password').fill(password)
            page.get_by_role('button', name='Login').click()
            page.wait_for_selector(outcome)
        page.click('#example')
        page.wait_for_selector('#status >> text=/Fluid/', timeout=60_000)
        page.wait_for_selector('#picture img')
        picture = page.get_attribute('#picture img', 'src')
        assert page.request.get(picture).status == 200
        stranger = browser.new_context().request
        for method, path in (('get', picture), ('get', server.address + '/config'),
                             ('get', server.address + '/gradio_api/info'),
                             ('get', server.address + '/gradio_api/queue/data?session_hash=a'),
                             ('post', server.address + '/gradio_api/queue/join')):  # fmt: skip
            assert getattr(stranger, method)(path, **({'data': {}} if method == 'post' else {})).status == 401, path
        form = {'files': dict(name='x.png', mimeType='image/png', buffer=b'1')}
        assert stranger.post(server.address + '/gradio_api/upload', multipart=form).status == 401
        page.close()
    assert 'secret' not in server.said()
