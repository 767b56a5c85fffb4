import itertools
import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from octfluid.datasets.fluid_dataset import DukeDMEDataset, FluidDataset, seeded_draws
from octfluid.datasets.sampler import CountedSampler, SampleDraw
from octfluid.utils.errors import InputError

# Draws from NumPy's generator (crop, flip, resize) and from Python's (mmcv's choice).
RANDOM = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(1.0, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(48, 48), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackFluidInputs'),
]
PLAIN = [RANDOM[0], RANDOM[1], RANDOM[-1]]


def equal(one, other):
    same_image = torch.equal(one['inputs'], other['inputs'])
    return same_image and torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)


def test_samples_are_those_of_the_list_with_their_pixels_and_names(phantom_set, phantoms):
    assert DATASETS.get('DukeDMEDataset') is DukeDMEDataset
    assert phantom_set(PLAIN).metainfo['classes'] == ('background', 'fluid')
    samples = list(phantom_set(PLAIN, 'val'))
    found = [(one['data_samples'].name, one['data_samples'].subject, one['data_samples'].slice) for one in samples]
    assert found == [(f's03_z{z:02d}', 3, z) for z in range(4)]
    for sample in samples:
        data, name = sample['data_samples'], sample['data_samples'].name
        scan, truth = (cv2.imread(str(phantoms / f'native/{kind}/{name}.png'), -1) for kind in ('images', 'annotations'))
        assert np.array_equal(sample['inputs'].numpy(), np.stack([scan] * 3))
        assert np.array_equal(data.gt_sem_seg.data[0].numpy(), truth)
        assert data.ori_shape == (64, 64) and data.img_path.endswith(f'images/{name}.png')
    assert any(sample['data_samples'].gt_sem_seg.data.any() for sample in samples)


def test_gray_scans_are_packed_as_three_views_of_one_plane(phantom_set):
    gray = phantom_set([dict(PLAIN[0], color_type='grayscale'), *PLAIN[1:]])[0]['inputs']
    assert torch.equal(gray, phantom_set(PLAIN)[0]['inputs']) and gray.stride(0) == 0


def test_a_folder_of_scans_needs_no_index_and_may_have_other_classes(root):
    (root / 'index.csv').unlink()
    mask = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4
    cv2.imwrite(str(root / 'small/annotations/s01_z10.png'), mask)
    dataset = FluidDataset(
        data_root=str(root),
        data_prefix=dict(img_path='small/images', seg_map_path='small/annotations'),
        ann_file='splits/half_train.txt',
        metainfo=dict(classes=('background', 'irf', 'srf', 'ped')),
        pipeline=PLAIN,
    )
    sample = dataset[0]['data_samples']
    assert len(dataset) == 3 and (sample.name, sample.subject, sample.slice) == ('s01_z10', None, None)
    assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), mask)


@pytest.mark.parametrize(('settings', 'named'), [
    (dict(reduce_zero_label=True), 'reduce_zero_label'),
    (dict(ann_file='splits/heldot_train.txt'), 'heldot_train.txt'),
])  # fmt: skip
def test_what_would_go_wrong_is_named(phantom_set, settings, named):
    with pytest.raises(InputError, match=named):
        phantom_set(PLAIN, **settings)


def scramble(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_draw_decides_the_sample_whatever_happened_before(phantom_set):
    augmented = phantom_set(RANDOM)
    scramble(1)
    first = augmented[SampleDraw(3, 17)]
    scramble(2)
    augmented[0]
    assert equal(augmented[SampleDraw(3, 17)], first)
    assert not equal(augmented[SampleDraw(3, 18)], first)
    assert augmented[SampleDraw(3, 18)]['data_samples'].name == first['data_samples'].name


@pytest.mark.parametrize('wrapper', ['RepeatDataset', 'ConcatDataset'])
def test_wrappers_of_mmengine_keep_the_draw(phantom_set, wrapper):
    augmented = phantom_set(RANDOM)
    settings = dict(dataset=augmented, times=2) if wrapper == 'RepeatDataset' else dict(datasets=[augmented, augmented])
    wrapped = DATASETS.build(dict(type=wrapper, **settings))
    assert len(wrapped) == 2 * len(augmented)
    for index in (3, len(augmented) + 3):
        assert equal(wrapped[SampleDraw(index, 17)], augmented[SampleDraw(3, 17)])


def generators():
    return random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2:], torch.get_rng_state().tolist()


def test_every_generator_is_seeded_and_restored_even_after_an_error():
    def numbers(seed):
        with seeded_draws(seed):
            return random.random(), np.random.rand(), torch.rand(1).item()

    before = generators()
    assert numbers(2**32 - 1) == numbers(2**32 - 1)
    assert not set(numbers(0)) & set(numbers(1))
    with pytest.raises(ZeroDivisionError), seeded_draws(3):
        random.random(), np.random.rand(), torch.rand(1)
        raise ZeroDivisionError
    assert generators() == before


def batches(dataset, workers, number=6):
    sampler = CountedSampler(dataset, seed=0)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate)
    return list(itertools.islice(loader, number))


def test_number_of_workers_changes_nothing(phantom_set):
    augmented = phantom_set(RANDOM)
    scramble(1)
    alone = batches(augmented, workers=0)
    scramble(2)
    for one, other in zip(alone, batches(augmented, workers=2), strict=True):
        for index in range(3):
            first, second = ({key: batch[key][index] for key in ('inputs', 'data_samples')} for batch in (one, other))
            assert equal(first, second) and first['data_samples'].name == second['data_samples'].name
