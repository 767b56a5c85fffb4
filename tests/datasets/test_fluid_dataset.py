import copy
import itertools
import pickle
import random

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
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
CACHED = [*RANDOM[:2], dict(type='Resize', scale=(96, 96), keep_ratio=True), *RANDOM[3:]]
ONE = 96 * 96 * 4  # bytes of a scan in colour and its mask


def equal(one, other):
    first, second = one['data_samples'], other['data_samples']
    same = torch.equal(one['inputs'], other['inputs']) and torch.equal(first.gt_sem_seg.data, second.gt_sem_seg.data)
    return same and first.metainfo == second.metainfo


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
    gray = phantom_set([dict(PLAIN[0], color_type='grayscale'), *PLAIN[1:]], 'val')[0]['inputs']
    assert torch.equal(gray, samples[0]['inputs']) and gray.stride(0) == 0  # three views of one plane


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


def test_what_the_grader_did_not_look_at_is_ignored(root):
    def masks(pipeline):
        dataset = FluidDataset(
            data_root=str(root),
            data_prefix=dict(img_path='small/images', seg_map_path='small/annotations'),
            ann_file='splits/half_train.txt',
            pipeline=pipeline,
        )
        return [dataset[index]['data_samples'].gt_sem_seg.data[0].numpy() for index in range(len(dataset))]

    ignoring = [*PLAIN[:2], dict(type='IgnoreUngradedColumns', width=12), PLAIN[-1]]  # columns count native pixels, twice ours
    with pytest.raises(InputError, match='s01_z10'):
        masks(ignoring)
    head, *rows = (root / 'index.csv').read_text().splitlines()
    columns = f'{head},graded_first_column,graded_last_column', *(f'{row},3,8' for row in rows)
    (root / 'index.csv').write_text('\n'.join(columns))
    for plain, mask in zip(masks(PLAIN), masks(ignoring), strict=True):
        # Centres of the six columns lie at 1, 3, 5, 7, 9, 11 of 12; graded are 3 to 9.
        assert (mask[:, [0, 5]] == 255).all() and np.array_equal(mask[:, 1:5], plain[:, 1:5])


def test_a_missing_list_is_refused(phantom_set):
    with pytest.raises(InputError, match='heldot_train'):
        phantom_set(PLAIN, ann_file='splits/heldot_train.txt')


def test_draw_decides_the_sample_whatever_happened_before(phantom_set):
    augmented = phantom_set(RANDOM)
    first = augmented[SampleDraw(3, 17)]
    augmented[0]
    assert equal(augmented[SampleDraw(3, 17)], first)
    assert not equal(augmented[SampleDraw(3, 18)], first)


def test_every_generator_is_seeded_and_restored_even_after_an_error():
    def numbers(seed):
        with seeded_draws(seed):
            return random.random(), np.random.rand(), torch.rand(1).item()

    def generators():
        return random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2:], torch.get_rng_state().tolist()

    before = generators()
    assert numbers(2**32 - 1) == numbers(2**32 - 1)
    assert not set(numbers(0)) & set(numbers(1))
    with pytest.raises(ZeroDivisionError), seeded_draws(3):
        random.random(), np.random.rand(), torch.rand(1)
        raise ZeroDivisionError
    assert generators() == before


def test_number_of_workers_changes_nothing(phantom_set):
    augmented, batches = phantom_set(RANDOM), []
    for workers in (0, 2):
        sampler = CountedSampler(augmented, seed=0)
        loader = DataLoader(augmented, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate)
        batches.append(list(itertools.islice(loader, 6)))
    for one, other in zip(*batches, strict=True):
        for index in range(3):
            first, second = ({key: batch[key][index] for key in ('inputs', 'data_samples')} for batch in (one, other))
            assert equal(first, second)


@pytest.mark.parametrize('copy_of', [copy.deepcopy, lambda sample: pickle.loads(pickle.dumps(sample))], ids=['copy', 'pickle'])
def test_a_mask_travels_as_one_byte_a_pixel_and_arrives_as_it_was(phantom_set, copy_of):
    sample = phantom_set(RANDOM)[SampleDraw(2, 0)]
    mask = sample['data_samples'].gt_sem_seg
    mask.data[0, 0, :2] = torch.tensor([255, 128])
    found = copy_of(sample)['data_samples']
    assert found.gt_sem_seg.data.dtype == torch.int64 and torch.equal(found.gt_sem_seg.data, mask.data)
    assert found.metainfo == sample['data_samples'].metainfo
    assert len(pickle.dumps(sample)) < 48 * 48 * (3 + 1) + 4000  # pixels of image and mask, names


@pytest.mark.parametrize(('steps', 'room', 'kept'), [
    (CACHED, 1 << 30, 8), (CACHED, 3 * ONE + 5, 3), (CACHED, ONE - 1, 0), (RANDOM, 1 << 30, 8),
    ([dict(type='LoadImageFromFile', color_type='grayscale'), *CACHED[1:3], RANDOM[4],
      dict(type='RandomGamma', prob=1, low=1, high=2), RANDOM[-1]], 1 << 30, 8),
])  # fmt: skip
def test_samples_are_the_same_with_and_without_a_cache(phantom_set, steps, room, kept):
    data, stock = phantom_set(steps, cache_bytes=room), phantom_set(steps)
    for seed in range(2 * len(data)):
        assert equal(*(each[SampleDraw(seed % len(data), seed)] for each in (data, stock)))
    cache = data.pipeline.transforms[0]
    assert len(cache.kept) == kept and cache.bytes <= room
    assert steps is not CACHED or cache.bytes == kept * ONE


@pytest.mark.parametrize('again', [copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))], ids=['copy', 'pickle'])
def test_copies_begin_with_an_empty_cache(phantom_set, again):
    data = phantom_set(CACHED, cache_bytes=1 << 30)
    other = again(data)
    assert not other.pipeline.transforms[0].kept
    assert equal(other[SampleDraw(1, 4)], data[SampleDraw(1, 4)])
    assert other.pipeline.transforms[0].bytes == ONE


def test_scans_are_read_once_for_all_workers(phantom_set, monkeypatch):
    data = phantom_set(CACHED, cache_bytes=1 << 30)
    monkeypatch.delattr(LoadImageFromFile, 'transform')
    draws = [SampleDraw(index % len(data), index) for index in range(2 * len(data))]
    loader = DataLoader(data, sampler=draws, num_workers=2, collate_fn=pseudo_collate, multiprocessing_context='fork')
    for draw, batch in zip(draws, loader, strict=True):
        assert torch.equal(batch['inputs'][0], data[draw]['inputs'])


def test_photographs(hrf, tmp_path):
    dataset = hrf(PLAIN)
    assert dataset.metainfo['classes'] == ('background', 'vessel') and len(dataset) == 3
    sample = dataset[1]
    assert (sample['data_samples'].name, sample['data_samples'].subject) == ('02_dr', 102)
    pixels = cv2.imread(str(tmp_path / 'hrf/native/images/02_dr.jpg'))
    assert np.array_equal(sample['inputs'].numpy(), pixels.transpose(2, 0, 1))
    truth = sample['data_samples'].gt_sem_seg.data[0]
    assert truth[10:20].eq(1).all() and truth.sum() == 960
