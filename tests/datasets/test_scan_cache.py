import copy
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose, pseudo_collate
from torch.utils.data import DataLoader

from octfluid.datasets.sampler import SampleDraw
from octfluid.datasets.scan_cache import CachedHead, fixed_head

FIXED = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
]  # fmt: skip
RANDOM = [
    dict(type='RandomCrop', crop_size=(48, 48), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackFluidInputs'),
]
PIPELINE = [*FIXED, *RANDOM]
ONE = 96 * 96 * 4  # bytes of a scan in colour and its mask


@pytest.fixture
def sample(tmp_path):
    paths = dict(img_path=str(tmp_path / 'scan.png'), seg_map_path=str(tmp_path / 'mask.png'))
    cv2.imwrite(paths['img_path'], np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    cv2.imwrite(paths['seg_map_path'], np.eye(64, dtype=np.uint8))
    return dict(**paths, label_map=None, reduce_zero_label=False, seg_fields=[])


@pytest.mark.parametrize(('steps', 'room', 'kept'), [
    (PIPELINE, 1 << 30, 8), (PIPELINE, 3 * ONE + 5, 3), (PIPELINE, ONE, 1), (PIPELINE, ONE - 1, 0),
    ([*FIXED[:2], dict(type='RandomResize', scale=(80, 80), ratio_range=(0.8, 1.5)), *RANDOM], 1 << 30, 8),
    ([dict(type='LoadImageFromFile', color_type='grayscale'), *FIXED[1:], RANDOM[1],
      dict(type='RandomGamma', prob=1, low=1, high=2), RANDOM[-1]], 1 << 30, 8),
])  # fmt: skip
def test_samples_are_the_same_with_and_without(phantom_set, steps, room, kept):
    data, stock = phantom_set(steps, cache_bytes=room), phantom_set(steps)
    for seed in range(2 * len(data)):
        one, other = (each[SampleDraw(seed % len(data), seed)] for each in (data, stock))
        assert torch.equal(one['inputs'], other['inputs'])
        assert torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)
        assert one['data_samples'].metainfo == other['data_samples'].metainfo
    cache = data.pipeline.transforms[0]
    assert len(cache) == kept and cache.bytes <= room
    assert steps is not PIPELINE or cache.bytes == kept * ONE


def test_scans_are_read_once_for_all_workers(phantom_set, monkeypatch):
    data = phantom_set(PIPELINE, cache_bytes=1 << 30)
    monkeypatch.delattr(LoadImageFromFile, 'transform')
    draws = [SampleDraw(index % len(data), index) for index in range(2 * len(data))]
    loader = DataLoader(data, sampler=draws, num_workers=2, collate_fn=pseudo_collate, multiprocessing_context='fork')
    for draw, batch in zip(draws, loader, strict=True):
        assert torch.equal(batch['inputs'][0], data[draw]['inputs'])


def test_pipelines_are_kept_up_to_their_first_draw():
    def head(steps):
        return fixed_head(Compose(steps).transforms)

    assert head(PIPELINE) == 3
    assert head([*FIXED[:2], *RANDOM]) == 2
    assert head(RANDOM) == 0
    # A descendant of Resize that draws.
    assert head([*FIXED[:2], dict(type='ResizeShortestEdge', scale=64, max_size=64)]) == 2
    assert head(FIXED) == 3


def test_what_a_pipeline_does_to_a_sample_stays_with_it(sample):
    cache = CachedHead(Compose(FIXED).transforms, ONE)
    first = cache(copy.deepcopy(sample))
    kept = copy.deepcopy(first)
    first['img'][:] = first['gt_seg_map'][:] = 7
    first['seg_fields'].append('other')
    second = cache(copy.deepcopy(sample))
    assert second.keys() == kept.keys() and second['seg_fields'] == ['gt_seg_map']
    assert np.array_equal(second['img'], kept['img']) and np.array_equal(second['gt_seg_map'], kept['gt_seg_map'])


@pytest.mark.parametrize('again', [copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))], ids=['copy', 'pickle'])
def test_copies_begin_empty(phantom_set, again):
    data = phantom_set(PIPELINE, cache_bytes=1 << 30)
    other = again(data)
    assert (len(other.pipeline.transforms[0]), other.pipeline.transforms[0].bytes) == (0, 0)
    assert torch.equal(other[SampleDraw(1, 4)]['inputs'], data[SampleDraw(1, 4)]['inputs'])
    assert other.pipeline.transforms[0].bytes == ONE
