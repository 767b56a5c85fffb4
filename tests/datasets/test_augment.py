import numpy as np
import pytest
from mmseg.datasets.transforms import RandomCrop as StockCrop
from mmseg.registry import TRANSFORMS
from scipy.ndimage import gaussian_filter

from octfluid.datasets import augment
from octfluid.datasets.fluid_dataset import seeded_draws

GRAY = ['RandomGamma', 'RandomSpeckle', 'RandomNoise', 'RandomBlur', 'RandomLowResolution']


def scan_of(seed=0, shape=(40, 60), low=30, high=200):
    return np.random.default_rng(seed).integers(low, high, shape, dtype=np.uint8)


def changed(name, scan, amount, seed=0):
    with seeded_draws(seed):
        return getattr(augment, name)(prob=1.0, low=amount, high=amount)(dict(img=scan))['img']


def test_gamma_by_hand():
    assert np.allclose(changed('RandomGamma', scan_of(), 1.5), 255 * (scan_of() / 255) ** 1.5, atol=1e-3)


def test_speckle_grows_with_the_signal():
    flat = np.repeat(np.array([[20, 80]], np.uint8), 100, axis=1).repeat(200, axis=0)
    out = changed('RandomSpeckle', flat, 0.2)
    assert (out[:, :100].std(), out[:, 100:].std(), out.mean()) == pytest.approx((4, 16, 50), rel=0.05)


def test_noise_is_the_same_on_dark_and_bright_tissue():
    flat = np.repeat(np.array([[60, 160]], np.uint8), 100, axis=1).repeat(200, axis=0)
    out = changed('RandomNoise', flat, 10)
    assert (out[:, :100].std(), out[:, 100:].std(), out.mean()) == pytest.approx((10, 10, 110), rel=0.05)


def test_blur_is_a_gaussian():
    point = np.ones((41, 41), np.uint8)
    point[20, 20] = 254
    assert np.allclose(changed('RandomBlur', point, 1.2), gaussian_filter(point.astype(float), 1.2), atol=0.2)


def test_black_speckle_is_no_filling():
    scan = np.full((80, 80), 60, np.uint8)
    scan[::5, ::7] = 0
    scan[60:, :] = 0
    assert np.array_equal(np.unique(np.nonzero(augment.filling(scan))[0]), np.arange(60, 80))
    blurred = changed('RandomBlur', scan, 2.0)
    assert blurred[10:50, 10:70].std() < 0.2 * scan[10:50, 10:70].std() and (blurred[60:] == 0).all()


@pytest.mark.parametrize('name', GRAY)
def test_what_all_gray_transforms_share(name):
    extreme = scan_of(low=0, high=256)
    extreme[:10, :30], extreme[20:, :12] = 0, 255
    amount = {'RandomSpeckle': 2.0, 'RandomNoise': 80.0}.get(name, 0.6)
    out = changed(name, extreme, amount)
    assert out.dtype == np.float32 and out.shape == extreme.shape
    wedge = augment.filling(extreme)
    assert wedge[:10, :30].all() and wedge[20:, :12].all() and 540 <= wedge.sum() < 560
    assert np.array_equal(out[wedge], extreme[wedge]), 'fillings are no tissue'
    assert out[~wedge].min() >= 1 and out[~wedge].max() <= 254, 'tissue became a filling'
    assert not np.array_equal(out[~wedge], extreme[~wedge])
    assert np.array_equal(out, changed(name, extreme, amount)), 'one seed, two results'
    never = getattr(augment, name)(prob=0.0, low=amount, high=amount)
    assert never(dict(img=extreme))['img'] is extreme
    half = getattr(augment, name)(prob=0.5, low=amount, high=amount)
    with seeded_draws(0):
        share = np.mean([half(dict(img=extreme))['img'] is not extreme for _ in range(400)])
    assert 0.42 < share < 0.58


def crop(prob, mask, seed, size=(16, 24)):
    scan = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
    given = dict(img=scan, gt_seg_map=mask, seg_fields=['gt_seg_map'])
    with seeded_draws(seed):
        return augment.FluidCrop(size, prob)(given)


def test_windows_hold_fluid_when_asked_and_lie_anywhere_around_it():
    mask = np.zeros((64, 96), np.uint8)
    mask[40, 30] = 1
    places = set()
    for seed in range(300):
        out = crop(1.0, mask, seed)
        assert out['img'].shape == out['gt_seg_map'].shape == out['img_shape'] == (16, 24)
        assert out['gt_seg_map'].sum() == 1
        assert out['img'][out['gt_seg_map'] == 1].item() == 40 * 96 + 30, 'scan and mask are cut differently'
        places.add(tuple(np.argwhere(out['gt_seg_map'])[0]))
    rows, columns = zip(*places, strict=True)
    assert (min(rows), max(rows), min(columns), max(columns)) == (0, 15, 0, 23)


def test_windows_from_anywhere_reach_every_corner():
    mask = np.eye(20, 28, dtype=np.uint8)
    corners = {crop(0.0, mask, seed)['img'][0, 0].item() for seed in range(400)}
    assert corners == {28.0 * row + column for row in range(5) for column in range(5)}


def test_masks_without_fluid_and_scans_smaller_than_the_window():
    assert crop(1.0, np.zeros((64, 96), np.uint8), 0)['img'].shape == (16, 24)
    assert crop(1.0, np.ones((10, 96), np.uint8), 0)['img'].shape == (10, 24)


@pytest.mark.parametrize('settings', [
    dict(crop_size=(16, 24), cat_max_ratio=0.75), dict(crop_size=20, cat_max_ratio=0.98),
    dict(crop_size=(70, 30), cat_max_ratio=0.6), dict(crop_size=(16, 24)),
    dict(crop_size=(16, 24), cat_max_ratio=0.75, ignore_index=1), dict(crop_size=(8, 8), cat_max_ratio=0.75, ignore_index=-1),
])  # fmt: skip
def test_random_crop_is_that_of_mmseg_without_sorting(settings, monkeypatch):
    labels = np.zeros((64, 48), np.uint8)
    labels[20:30, 10:40], labels[25:60, 30:35], labels[:12] = 1, 7, 255
    images = [labels, np.zeros_like(labels), np.random.default_rng(0).integers(0, 2, labels.shape, dtype=np.uint8)]

    def cut(crop, mask, seed):
        given = dict(img=np.arange(mask.size * 3).reshape(*mask.shape, 3), gt_seg_map=mask, seg_fields=['gt_seg_map'])
        with seeded_draws(seed):
            return crop(given), np.random.random()  # what comes next draws from the same generator

    cases = [(mask, seed) for mask in images for seed in range(100)]
    expected = [cut(StockCrop(**settings), *case) for case in cases]
    monkeypatch.setattr(np, 'unique', None)
    found = [cut(TRANSFORMS.build(dict(type='RandomCrop', **settings)), *case) for case in cases]
    for (ours, next_draw), (theirs, same_draw) in zip(found, expected, strict=True):
        assert next_draw == same_draw and ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[key], theirs[key]) for key in ours)
