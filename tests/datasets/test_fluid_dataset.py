import itertools
import random
import shutil

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from octfluid import register  # noqa: F401
from octfluid.datasets.fluid_dataset import FLUID_CLASSES, FLUID_PALETTE, DukeDMEDataset, PhantomDataset, seeded_draws
from octfluid.datasets.sampler import CountedSampler, SampleDraw
from octfluid.utils.errors import InputError

# Something that draws from each of the generators: NumPy's (crop, flip, resize) and, in mmcv's choice, again NumPy's.
RANDOM_PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(64, 64), ratio_range=(1.0, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(48, 48), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackFluidInputs'),
]
PLAIN_PIPELINE = [RANDOM_PIPELINE[0], RANDOM_PIPELINE[1], RANDOM_PIPELINE[-1]]


@pytest.fixture(autouse=True)
def registry_scope():
    init_default_scope('mmseg')


@pytest.fixture
def dataset(phantoms):
    def make(pipeline=PLAIN_PIPELINE, subset='train', **settings):
        arguments = dict(data_root=str(phantoms), size_dir='native', split='heldout', subset=subset, pipeline=pipeline)
        return PhantomDataset(**{**arguments, **settings})

    return make


def equal(one, other):
    same_image = torch.equal(one['inputs'], other['inputs'])
    return same_image and torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)


def test_classes_are_those_of_the_masks(dataset):
    assert DATASETS.get('DukeDMEDataset') is DukeDMEDataset
    assert dataset().metainfo['classes'] == FLUID_CLASSES == ('background', 'fluid')
    assert len(FLUID_PALETTE) == 2
    assert dataset().reduce_zero_label is False


def test_lists_are_read_in_their_order(dataset, phantoms):
    for subset in ('train', 'val'):
        names = (phantoms / 'splits' / f'heldout_{subset}.txt').read_text().split()
        found = dataset(subset=subset)
        assert [found.get_data_info(index)['name'] for index in range(len(found))] == names


def test_sample_says_what_it_shows(dataset, phantoms):
    samples = [sample['data_samples'] for sample in dataset(subset='val')]
    assert [(sample.name, sample.subject, sample.slice) for sample in samples] == [(f's03_z{z:02d}', 3, z) for z in range(4)]
    for sample in samples:
        truth = cv2.imread(str(phantoms / 'native' / 'annotations' / f'{sample.name}.png'), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), truth)
        assert sample.img_path.endswith(f'images/{sample.name}.png')
        assert sample.ori_shape == (64, 64)
    assert any(sample.gt_sem_seg.data.any() for sample in samples)


def test_image_is_the_scan(dataset, phantoms):
    sample = dataset(subset='val')[1]
    scan = cv2.imread(str(phantoms / 'native' / 'images' / 's03_z01.png'), cv2.IMREAD_GRAYSCALE)
    assert sample['inputs'].shape == (3, 64, 64)
    assert all(np.array_equal(channel.numpy(), scan) for channel in sample['inputs'])


def test_reduce_zero_label_is_refused(dataset):
    with pytest.raises(InputError, match='reduce_zero_label=True: it would drop the background'):
        dataset(reduce_zero_label=True)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(split='heldot'), "unknown split 'heldot'; did you mean 'heldout'"),
    (dict(split='all', subset='val'), "split 'all' has nothing to validate on"),
    (dict(data_root='nowhere'), 'nowhere: no such data set'),
])  # fmt: skip
def test_missing_data_is_named(dataset, settings, message):
    with pytest.raises(InputError, match=message):
        dataset(**settings)


def scramble(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def test_draw_decides_the_sample_whatever_happened_before(dataset):
    augmented = dataset(RANDOM_PIPELINE)
    scramble(1)
    first = augmented[SampleDraw(3, 17)]
    scramble(2)
    augmented[0]
    assert equal(augmented[SampleDraw(3, 17)], first)
    assert not equal(augmented[SampleDraw(3, 18)], first)
    assert augmented[SampleDraw(3, 18)]['data_samples'].name == first['data_samples'].name


def generators():
    return random.getstate(), np.random.get_state()[1].tolist(), np.random.get_state()[2:], torch.get_rng_state().tolist()


def test_draw_leaves_the_generators_alone(dataset):
    before = generators()
    dataset(RANDOM_PIPELINE)[SampleDraw(0, 5)]
    assert generators() == before


def test_generators_are_restored_after_an_error():
    before = generators()
    with pytest.raises(ZeroDivisionError), seeded_draws(3):
        random.random(), np.random.rand(), torch.rand(1)
        raise ZeroDivisionError
    assert generators() == before


def test_every_generator_is_seeded():
    def numbers(seed):
        with seeded_draws(seed):
            return random.random(), np.random.rand(), torch.rand(1).item()

    assert numbers(2**32 - 1) == numbers(2**32 - 1)
    assert not set(numbers(0)) & set(numbers(1))


def batches(dataset, workers, number=6):
    sampler = CountedSampler(dataset, seed=0)
    loader = DataLoader(dataset, batch_size=3, sampler=sampler, num_workers=workers, collate_fn=pseudo_collate)
    return list(itertools.islice(loader, number))


def test_number_of_workers_changes_nothing(dataset):
    augmented = dataset(RANDOM_PIPELINE)
    scramble(1)
    alone = batches(augmented, workers=0)
    scramble(2)
    helped = batches(augmented, workers=2)
    for one, other in zip(alone, helped, strict=True):
        for index in range(3):
            picked = [{key: batch[key][index] for key in ('inputs', 'data_samples')} for batch in (one, other)]
            assert equal(*picked)
            assert picked[0]['data_samples'].name == picked[1]['data_samples'].name


def test_a_name_that_the_index_lacks_is_named(dataset, phantoms, tmp_path):
    shutil.copytree(phantoms, tmp_path / 'data')
    (tmp_path / 'data/splits/heldout_train.txt').write_text('s01_z00\nS01_Z01\n')
    with pytest.raises(InputError, match=r"heldout_train\.txt: 'S01_Z01' is not in .*index\.csv; see tools/check"):
        len(dataset(data_root=str(tmp_path / 'data')))
