import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.ood import FEATURES, features, judge

RANDOM = np.random.default_rng(0)
INVERTED, UPSIDE_DOWN, NO_LAYERS = 'looks inverted', 'looks upside down', 'no layers from side to side'


def layered(height=200, width=300, seed=0):
    """Dark above, a bright band with a sharp upper edge, slowly darker below: upright."""
    random = np.random.default_rng(seed)
    rows = np.arange(height)[:, None] - (0.4 + 0.02 * random.random()) * height
    profile = np.where(rows < 0, 20, 20 + 180 * np.exp(-rows / (0.12 * height)))
    return np.clip(profile + random.normal(0, 8, (height, width)), 1, 254).astype(np.uint8)


def close_crop(scan):
    """Return the rows of a B-scan that hold its bright layers, and a tenth more on either side."""
    blurred = cv2.GaussianBlur(np.where(scan == 255, 0, scan), (0, 0), 5)
    rows = np.nonzero(cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1])[0]
    top, bottom = np.percentile(rows, [2, 98])
    margin = (bottom - top) / 10
    return scan[max(0, int(top - margin)) : int(bottom + margin)]


def said_of(scan):
    """Return how the reason to warn of one gray B-scan begins, or an empty string."""
    reasons = judge([features(scan)], 0.0)
    return reasons[0].split(',')[0].split(';')[0] if reasons else ''


def test_signs_change_with_direction_and_polarity():
    one, turned, inverted = (dict(zip(FEATURES, features(scan), strict=True)) for scan in
                             (layered(), layered()[::-1], 255 - layered()))  # fmt: skip
    assert one['turn'] > 0.5 and turned['turn'] == pytest.approx(-one['turn'], abs=1e-3)
    assert one['ridges'] < -0.5 and turned['ridges'] == pytest.approx(one['ridges'], abs=1e-3)
    assert inverted['ridges'] == pytest.approx(-one['ridges'], abs=1e-3)
    assert inverted['middle'] == pytest.approx(1 - one['middle'], abs=1e-3)
    assert turned['layering'] == pytest.approx(one['layering'], rel=1e-3) and one['layering'] > 3


@pytest.mark.parametrize('factor', [0.01, 1 / 3, 2.0, 257.0])
def test_scaling_does_not_count(factor):
    scan = layered(300, 400)
    scan[:40, :90] = 255  # white, filled in
    np.testing.assert_allclose(features(scan * factor), features(scan), rtol=1e-3)


def test_jpeg_and_filling_do_not_count():
    scan = layered(300, 400)
    cv2.fillPoly(scan, [np.array([[0, 270], [0, 299], [399, 299], [399, 296]])], 255)  # thinner than a square at one end
    coded = cv2.imdecode(cv2.imencode('.jpg', scan, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_GRAYSCALE)
    assert ((coded >= 254.5) != (scan == 255)).sum() > 200
    np.testing.assert_allclose(features(coded), features(scan), rtol=0.1)
    np.testing.assert_allclose(features(scan), features(layered(300, 400)), rtol=0.15)


@pytest.mark.parametrize(('scan', 'coloured', 'said'), [
    (layered(), 0.0, []), (layered(), 0.5, ['50% of its pixels are in colour']),
    (RANDOM.integers(0, 256, (200, 300)), 0.0, [NO_LAYERS]), (np.full((60, 60), 77), 0.0, ['shows nothing']),
    (np.kron(RANDOM.integers(0, 2, (10, 15)), np.full((20, 20), 255)), 0.0, ['shows nothing']),
])  # fmt: skip
def test_reasons(scan, coloured, said):
    found = judge([features(scan)], coloured)
    assert len(found) == len(said) and all(one.startswith(start) for one, start in zip(found, said, strict=True))


CHANGES = {
    '': [lambda scan: scan, close_crop, lambda scan: np.pad(scan, 60), lambda scan: np.pad(scan, 60, constant_values=255),
         lambda scan: cv2.resize(scan, (400, 120))],
    INVERTED: [lambda scan: 255 - scan, lambda scan: 255 - close_crop(scan), lambda scan: 255 - scan[::-1]],
    UPSIDE_DOWN: [lambda scan: scan[::-1], lambda scan: close_crop(scan)[::-1], lambda scan: scan[::-1, ::-1]],
    NO_LAYERS: [np.rot90, lambda scan: np.rot90(scan, 3)],
}  # fmt: skip


@pytest.mark.parametrize('said', CHANGES)
def test_phantoms(said):
    for scan in (make_phantom(seed, 248, 384)[0] for seed in range(4)):
        assert [said_of(change(scan)) for change in CHANGES[said]] == [said] * len(CHANGES[said])


def test_most_of_a_volume_decides():
    upright, turned = features(layered()), features(layered()[::-1])
    assert judge([upright, upright, turned, np.zeros(len(FEATURES))], 0) == []
    assert [one.split(';')[0] for one in judge([upright, turned, turned], 0)] == [UPSIDE_DOWN]


@pytest.fixture
def shared():
    if 'OCTFLUID_SHARED_DATA' not in os.environ:
        pytest.skip('OCTFLUID_SHARED_DATA is not set: no real scans')
    return Path(os.environ['OCTFLUID_SHARED_DATA'])


def test_scans_of_devices_that_did_not_choose_the_limit(shared):
    """Scans of Bioptigen, Topcon and Duke chose the limit."""
    paths = [path for name in ('Cirrus', 'Spectralis', 'vol1') for path in shared.glob(f'rasp_external/images/{name}_*.png')]
    scans, right = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths], []
    assert len(scans) == 28
    for said, change in ((said, change) for said, changes in CHANGES.items() for change in changes[:2]):
        found = [said_of(change(scan)) for scan in scans]
        right += [one == said for one in found if one in (INVERTED, UPSIDE_DOWN)]
        warned = np.mean([one != '' for one in found])
        assert warned >= 0.95 if said else warned < 0.2
    assert len(right) > 100 and np.mean(right) >= 0.9


def test_fundus_photographs_that_did_not_choose_the_limit(shared):
    paths = [path for path in shared.glob('hrf/images/*') if int(path.name[:2]) % 2 == 0]
    photographs = [cv2.imread(str(path), cv2.IMREAD_REDUCED_GRAYSCALE_8) for path in paths]
    assert len(photographs) == 20
    for margin in (0, 90):
        seen = [one[margin : len(one) - margin, margin : one.shape[1] - margin] for one in photographs]
        assert np.mean([said_of(one) == NO_LAYERS for one in seen]) >= 0.95
