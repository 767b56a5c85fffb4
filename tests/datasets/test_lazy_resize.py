import copy

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmseg.datasets.transforms import RandomCrop as StockCrop

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.datasets.lazy_resize import use_windows
from octfluid.utils.errors import InputError

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
RESIZE = dict(type='RandomResize', scale=(64, 96), ratio_range=(0.5, 2.0), keep_ratio=True)
CROP = dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75)
TAIL = [dict(type='RandomFlip', prob=0.5), dict(type='PackFluidInputs')]


@pytest.fixture
def scan(tmp_path):
    """Write an image of noise, and a mask whose windows may hold one label or several; returns the sample."""

    def write(shape=(64, 96), labels=(0, 1)):
        rng = np.random.default_rng(0)
        mask = np.zeros(shape, np.uint8)
        mask[: shape[0] // 2, : shape[1] // 2] = rng.choice(labels, (shape[0] // 2, shape[1] // 2))
        paths = dict(img_path=str(tmp_path / 'scan.png'), seg_map_path=str(tmp_path / 'mask.png'))
        cv2.imwrite(paths['img_path'], rng.integers(0, 256, (*shape, 3), dtype=np.uint8))
        cv2.imwrite(paths['seg_map_path'], mask)
        return dict(**paths, label_map=None, reduce_zero_label=False, seg_fields=[])

    return write


def assert_close(image, expected):
    assert (image.dtype, image.shape) == (expected.dtype, expected.shape)
    assert np.abs(image.astype(int) - expected).max() <= 1


CASES = {
    'smaller and larger': ((64, 96), {}, {}, {}),
    'odd sizes': ((57, 83), {}, dict(scale=(71, 53)), dict(crop_size=(23, 40))),
    'smaller than the window': ((20, 70), {}, dict(scale=(20, 70)), dict(crop_size=(48, 64))),
    'other proportions': ((64, 96), {}, dict(scale=(150, 50), keep_ratio=False), {}),
    'ignored pixels': ((64, 96), dict(labels=(0, 2, 7, 255)), {}, {}),
}


@pytest.mark.parametrize('color', ['color', 'grayscale'])
@pytest.mark.parametrize('case', CASES)
def test_same_as_the_stock_transforms(scan, case, color):
    shape, written, resize, crop = CASES[case]
    sample = scan(shape, **written)
    steps = [{**LOAD[0], 'color_type': color}, LOAD[1], {**RESIZE, **resize}]
    stock, first = (Compose([*steps, {**CROP, **crop, 'type': kind}]).transforms for kind in (StockCrop, 'RandomCrop'))
    use_windows(first[2:])
    for seed in range(8):
        results = []
        for steps in (stock, first):
            with seeded_draws(seed):
                found = copy.deepcopy(sample)
                for step in steps:
                    found = step(found)
                # What comes next in a pipeline draws from the same generator.
                results.append((found, np.random.random()))
        (expected, after), (found, after_too) = results
        assert after == after_too
        assert found.keys() == expected.keys()
        assert np.array_equal(found.pop('gt_seg_map'), expected.pop('gt_seg_map'))
        assert_close(found.pop('img'), expected.pop('img'))
        assert found == expected


def test_windows_are_cut_from_scans_that_are_decoded_once(hrf):
    assert hrf([*LOAD, RESIZE, CROP, *TAIL], window_first=True).pipeline.transforms[0].bytes == 3 * 64 * 96 * 4


@pytest.mark.parametrize('steps', [
    [*LOAD, CROP],
    [*LOAD, RESIZE, *TAIL],
    [*LOAD, {**RESIZE, 'interpolation': 'bicubic'}, CROP],
    [*LOAD, {**RESIZE, 'backend': 'pillow'}, CROP],
])  # fmt: skip
def test_what_cannot_be_reproduced_is_refused(hrf, steps):
    with pytest.raises(InputError, match='window_first'):
        hrf(steps, window_first=True)
