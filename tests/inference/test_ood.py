import cv2
import numpy as np
import pytest

from octfluid.inference.ood import FEATURES, Look, features, fit, judge

RANDOM = np.random.default_rng(0)


def layered(height=200, width=300, seed=0):
    """Dark above, a bright band with a sharp upper edge, slowly darker below: upright."""
    random = np.random.default_rng(seed)
    rows = np.arange(height)[:, None] - (0.4 + 0.02 * random.random()) * height
    profile = np.where(rows < 0, 20, 20 + 180 * np.exp(-rows / (0.12 * height)))
    return np.clip(profile + random.normal(0, 8, (height, width)), 1, 254).astype(np.uint8)


def test_a_layered_scan_is_upright_and_what_is_done_to_it_shows():
    one = dict(zip(FEATURES, features(layered()), strict=True))
    turned = dict(zip(FEATURES, features(layered()[::-1]), strict=True))
    assert one['turn'] > 0.5 and turned['turn'] == pytest.approx(-one['turn'], abs=1e-3)
    assert turned['layering'] == pytest.approx(one['layering'], rel=1e-3) and one['layering'] > 3
    assert one['darkness'] < 0.3 < 0.7 < dict(zip(FEATURES, features(255 - layered()), strict=True))['darkness']


def test_contrast_and_brightness_do_not_count():
    np.testing.assert_allclose(features(layered() / 2 + 30), features(layered()), atol=0.05)


def test_jpeg_does_not_count():
    scan = layered(300, 400)
    cv2.fillPoly(scan, [np.array([[0, 270], [0, 299], [399, 299], [399, 296]])], 255)  # thinner than a square at one end
    coded = cv2.imdecode(cv2.imencode('.jpg', scan, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_GRAYSCALE)
    assert ((coded >= 254.5) != (scan == 255)).sum() > 200
    np.testing.assert_allclose(features(coded)[:4], features(scan)[:4], rtol=0.1)
    np.testing.assert_allclose(features(scan)[:3], features(layered(300, 400))[:3], rtol=0.15)


@pytest.mark.parametrize(('scan', 'coloured', 'said'), [
    (layered(), 0.0, []), (layered(), 0.5, ['50% of its pixels are in colour']), (layered()[::-1], 0.0, ['looks upside down']),
    (255 - layered(), 0.0, ['dark layers on a bright ground']), (np.rot90(layered()), 0.0, ['no layers from side to side']),
    (RANDOM.integers(0, 256, (200, 300)), 0.0, ['no layers from side to side']),
    (np.full((60, 60), 77), 0.0, ['shows nothing']),
])  # fmt: skip
def test_reasons(scan, coloured, said):
    found = judge([features(scan)], coloured, None, 'd')
    assert len(found) == len(said) and all(one.startswith(start) for one, start in zip(found, said, strict=True))


def test_most_of_a_volume_decides():
    upright, turned = features(layered()), features(layered()[::-1])
    assert judge([upright, upright, turned, np.zeros(5)], 0, None, 'd') == []
    assert judge([upright, turned, turned], 0, None, 'd') == ['looks upside down; expected the vitreous at the top']


def test_a_look_knows_its_own_and_others():
    measured = np.array([features(layered(seed=seed)) for seed in range(24)])
    look = Look.from_json(fit(measured, [seed // 4 for seed in range(24)]).to_json())
    own = [look.distance(features(layered(seed=seed))) for seed in range(100, 130)]
    assert np.mean(np.array(own) <= look.limit) > 0.8
    grainy = layered().astype(float) + np.random.default_rng(3).normal(0, 60, (200, 300))
    other = features(np.clip(grainy, 1, 254))
    assert look.distance(other) > look.limit
    (reason,) = judge([other], 0.0, look, 'A device')
    assert reason.startswith('looks unlike the scans of the training (A device): ')


def test_a_look_needs_12_scans_of_3_subjects_which_have_the_same_weight():
    measured = np.array([features(layered(seed=seed)) for seed in range(12)])
    assert fit(measured[:11], list(range(11))) is None and fit(measured, [0, 1] * 6) is None
    repeated = np.concatenate([measured, np.repeat(measured[:3], 20, axis=0), np.zeros((3, 5))])
    groups = [seed // 3 for seed in range(12)]
    np.testing.assert_allclose(fit(measured, groups).mean, fit(repeated, groups + [0] * 60 + [0, 1, 2]).mean)
