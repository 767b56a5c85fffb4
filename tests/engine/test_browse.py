import copy
import gc
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from octfluid.datasets.fluid_dataset import FluidDataset, seeded_draws
from octfluid.datasets.prepare.hrf import prepare
from octfluid.datasets.sampler import draw_seed
from octfluid.engine.browse import Sample, samples_of
from octfluid.engine.browse_sheet import IGNORED, captions_of, coloured, contact_sheet, draw_cell, title_of
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError
from octfluid.visualization import overlay

CONFIG = Path(__file__).resolve().parents[2] / 'configs/smoke/phantom.py'
CLASSES = ('background', 'fluid')
AMBER = (230, 159, 0)


@pytest.fixture(scope='module')
def config(tiny_options):
    """Copies of one resolved config, which takes long to read, with other settings."""
    resolved = load_config(CONFIG, tiny_options)

    def changed(seed=0, **options):
        cfg = copy.deepcopy(resolved)
        cfg.merge_from_dict({'randomness.seed': seed, **options})
        return cfg

    return changed


@pytest.fixture(autouse=True)
def no_waiting_for_garbage(monkeypatch):
    """mmengine collects garbage whenever a data set is built, which takes far longer than these tests."""
    monkeypatch.setattr(gc, 'collect', lambda: 0)


def names_of(phantoms, subset):
    return (phantoms / f'splits/heldout_{subset}.txt').read_text().split()


def test_samples_are_those_of_the_pipeline_for_that_seed(config, phantoms):
    """Made again here from the files: the order from torch's permutation, the randomness from seed and counter."""
    cfg = config(seed=3)
    names = names_of(phantoms, 'train')
    generator = torch.Generator()
    generator.manual_seed(3)
    order = [names[i] for _ in range(2) for i in torch.randperm(len(names), generator=generator).tolist()]
    init_default_scope('mmseg')
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)

    def made(position):
        name = order[position]
        files = dict(img_path=f'{phantoms}/native/images/{name}.png', seg_map_path=f'{phantoms}/native/annotations/{name}.png')
        with seeded_draws(draw_seed(3, position)):
            packed = pipeline(dict(**files, name=name, seg_fields=[], label_map=None, reduce_zero_label=False))
        return packed['inputs'].numpy(), packed['data_samples'].gt_sem_seg.data[0].numpy()

    samples = samples_of(cfg, 'train', 3, repeats=2)
    positions = [p for scan in order[:3] for p in (order.index(scan), len(names) + order[len(names) :].index(scan))]
    assert [(sample.name, sample.position) for sample in samples] == [(order[p], p) for p in positions]
    assert any(sample.mask.any() for sample in samples)
    for sample in samples:
        image, mask = made(sample.position)
        assert np.array_equal(sample.image, image[::-1].transpose(1, 2, 0))
        assert np.array_equal(sample.mask, mask)
        assert (sample.image.shape, sample.resized) == ((48, 48, 3), (64, 64))
    assert len({sample.image.tobytes() for sample in samples}) == len(samples)
    assert {sample.flip for sample in samples} == {None, 'horizontal'}


def test_samples_are_those_that_a_training_draws_first(config, run, tmp_path, monkeypatch):
    drawn = []
    make = FluidDataset.__getitem__

    def spy(dataset, item):
        sample = make(dataset, item)
        drawn.append((dataset.subset, sample['data_samples'].name, sample['inputs'].numpy().tobytes()))
        return sample

    monkeypatch.setattr(FluidDataset, '__getitem__', spy)
    run(tmp_path / 'run', {'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3}, seed=5)
    trained = [sample[1:] for sample in drawn if sample[0] == 'train'][:6]
    scored = [sample[1:] for sample in drawn if sample[0] == 'val'][1:]  # the first was to see that scoring will work
    for subset, expected in (('train', trained), ('val', scored)):
        found = samples_of(config(seed=5), subset, len(expected))
        assert [(s.name, s.image[:, :, ::-1].transpose(2, 0, 1).tobytes()) for s in found] == expected
    assert len(trained) == 6 and len(scored) == 4


def test_more_scans_than_there_are_means_all_of_them(config, phantoms):
    for subset in ('train', 'val'):
        found = [sample.name for sample in samples_of(config(), subset, 50)]
        assert sorted(found) == sorted(names_of(phantoms, subset))
    assert found == names_of(phantoms, 'val')


def test_scoring_keeps_the_mask_as_large_as_the_scan(config):
    options = {'val_dataloader.dataset.pipeline': [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(96, 128), keep_ratio=False),  # width, height
        dict(type='LoadAnnotations'),
        dict(type='PackFluidInputs'),
    ]}  # fmt: skip
    (sample,) = samples_of(config(**options), 'val', 1)
    assert (sample.image.shape, sample.mask.shape, sample.resized) == ((128, 96, 3), (64, 64), (128, 96))
    share = np.mean(sample.mask == 1)
    assert captions_of(sample, CLASSES, None, None) == (sample.name, f'128x96 · mask 64x64 · fluid {share:.2%}')


@pytest.fixture
def photographs(tmp_path, write_hrf):
    """HRF photographs, prepared, and a config for them."""
    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')
    steps = 'train_dataloader.dataset.pipeline'
    sizes = {'train_dataloader.dataset.scan_size': (64, 96), 'val_dataloader.dataset.scan_size': (64, 96)}
    return load_config(
        CONFIG.parents[1] / 'hrf/pspnet.py',
        {'data_root': str(tmp_path / 'hrf'), f'{steps}.2.scale': (64, 96), f'{steps}.3.crop_size': (32, 32), **sizes},
    )


def test_photographs_keep_their_colours(photographs):
    """Through the scoring pipeline without its resize, a photograph is the very file: red is not blue."""
    photographs.val_dataloader.dataset.pipeline.pop(1)
    (sample,) = samples_of(photographs, 'val', 1)
    folder = Path(photographs.data_root, 'native/images')
    assert np.array_equal(sample.image, cv2.imread(str(folder / f'{sample.name}.jpg'))[:, :, ::-1])
    assert (sample.mask[10:20] == 1).all() and sample.mask.sum() == 10 * 96


def test_photographs_are_drawn_in_windows(photographs):
    samples = samples_of(photographs, 'train', 2)
    assert [sample.image.shape for sample in samples] == [(32, 32, 3)] * 2
    assert all(
        0.49 < sample.resized[0] / 64 < 2.01 and abs(sample.resized[1] / sample.resized[0] - 1.5) < 0.1 for sample in samples
    )
    sheet = contact_sheet(photographs, 'train', 2)
    vessel = (0, 114, 178)
    assert (sheet == vessel).all(axis=2).sum() > 100  # its square in the legend


def sample_of(mask, image=None, resized=None, **changes):
    image = np.full((*mask.shape, 3), 100, np.uint8) if image is None else image
    fields = dict(name='s01_z02', position=5, image=image, mask=mask, resized=resized or image.shape[:2], flip=None)
    return Sample(**{**fields, **changes})


def test_captions_say_window_flip_and_shares():
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :3], mask[1] = 1, 255
    assert captions_of(sample_of(mask, resized=(8, 10), flip='vertical'), CLASSES, 255, 2) == (
        's01_z02 · iteration 3', '4x5 of 8x10 · flipped vertically · fluid 15.00% · 25.00% ignored by the loss',
    )  # fmt: skip
    assert captions_of(sample_of(mask * 0, position=3), CLASSES, 255, 2) == ('s01_z02 · iteration 2', '4x5 · no fluid')


def test_title_says_what_is_shown(config):
    cfg = config(seed=7)
    assert title_of(cfg, 'train', 1) == (
        "phantom.py · split 'heldout', train", 'what a training with seed 7 draws first, before normalisation',
    )  # fmt: skip
    passes = 'what the first 2 passes of a training with seed 7 make of each scan, before normalisation'
    assert title_of(cfg, 'train', 2)[1] == passes
    assert title_of(cfg, 'val', 1) == ("phantom.py · split 'heldout', val", 'what is scored first, before normalisation')


def test_mask_is_coloured_and_outlined_by_hand():
    image = np.zeros((5, 6, 3), np.uint8)
    image[:] = (10, 60, 110)
    mask = np.zeros((5, 6), np.uint8)
    mask[2, 2], mask[0, 5], mask[4, 0] = 1, 255, 7
    drawn = coloured(image, mask, {1: AMBER, 255: IGNORED})
    expected = image.astype(float)
    for value, colour in ((1, AMBER), (255, IGNORED)):
        expected[mask == value] = 0.4 * np.array([10, 60, 110]) + 0.6 * np.array(colour)
    for place in ((1, 2), (3, 2), (2, 1), (2, 3), (0, 4), (1, 5)):
        expected[place] = 0.2 * np.array([10, 60, 110]) + 0.8 * np.array(overlay.CONTOUR)
    assert np.abs(drawn - expected).max() <= 0.5
    assert (image == (10, 60, 110)).all()


@pytest.mark.parametrize(('shape', 'shown'), [
    ((64, 48), (256, 192)), ((256, 300), (256, 300)), ((512, 1024), (256, 512)), ((2, 2000), (1, 512)),
])  # fmt: skip
def test_cells_are_of_a_size_to_look_at(shape, shown):
    mask = np.zeros(shape, np.uint8)
    mask[: shape[0] // 2] = 1
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    cell = draw_cell(sample_of(mask, noise), {1: AMBER}, ('one', 'two'))
    height, width = shown
    assert cell.shape[1] == 2 * width + overlay.SHEET_GAP // 2 and cell.shape[0] > height
    left, right = cell[:height, :width], cell[:height, -width:]
    if shape == (64, 48):
        assert np.array_equal(left, noise.repeat(4, axis=0).repeat(4, axis=1))
    if shape == (256, 300):
        assert np.array_equal(left, noise) and np.array_equal(right, coloured(noise, mask, {1: AMBER}))
    assert np.array_equal(left[height // 2 + 3 :], right[height // 2 + 3 :])


def test_a_row_is_a_scan_and_its_cells_are_its_samples(config):
    cfg = config()
    samples = samples_of(cfg, 'train', 2, repeats=3)
    cells = [draw_cell(s, {1: AMBER, 255: IGNORED}, captions_of(s, CLASSES, 255, 2)) for s in samples]
    grid = overlay.contact_sheet(cells, 3)
    assert np.array_equal(contact_sheet(cfg, 'train', 2, 3)[-grid.shape[0] :], grid)


def test_pixels_that_do_not_count_are_in_the_legend_where_there_are_some(config):
    def has(sheet, colour):
        return bool((sheet == colour).all(axis=2).any())

    rotated = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomRotate', prob=1.0, degree=(30.0, 31.0), pad_val=0, seg_pad_val=255),
        dict(type='PackFluidInputs'),
    ]
    plain = contact_sheet(config(), 'train', 2)
    assert (has(plain, AMBER), has(plain, IGNORED)) == (True, False)
    assert has(contact_sheet(config(**{'train_dataloader.dataset.pipeline': rotated}), 'train', 2), IGNORED)
    rotated[2]['seg_pad_val'] = 9
    with pytest.raises(InputError, match=r'a mask with the value 9; expected class numbers 0..1 and 255 for pixels'):
        contact_sheet(config(**{'train_dataloader.dataset.pipeline': rotated}), 'train', 2)


@pytest.mark.parametrize(('number', 'repeats', 'subset', 'message'), [
    (33, 2, 'train', '33 scans with 2 samples each would be 66 cells; expected at most 64'),
    (2, 9, 'train', '--repeats 9 with --subset train: expected at most 8'),
    (2, 2, 'val', '--repeats 2 with --subset val: expected 1, since scoring takes every scan once'),
])  # fmt: skip
def test_sheets_have_limits(config, number, repeats, subset, message):
    with pytest.raises(InputError, match=message):
        contact_sheet(config(), subset, number, repeats)


def test_what_makes_no_samples_is_one_line(config):
    bare = [dict(type='LoadImageFromFile')]
    for options, message in (
        ({'sampler': dict(type='InfiniteSampler')}, r'sampler is InfiniteSampler, .* expected CountedSampler'),
        ({'dataset.pipeline.2.type': 'NoSuchStep'}, r'train_dataloader cannot be built, .*NoSuchStep'),
        ({'dataset.pipeline': bare}, r's\d+_z\d+: the pipeline makes no image with a mask of it \(KeyError: .*data_samples'),
        ({'dataset.split': 'holdout'}, r"unknown split 'holdout'; did you mean 'heldout'"),
    ):
        with pytest.raises(InputError, match=message):
            samples_of(config(**{f'train_dataloader.{key}': value for key, value in options.items()}), 'train', 1)


def test_unsound_files_are_refused_by_name(config, phantoms, tmp_path):
    root = tmp_path / 'phantom'
    shutil.copytree(phantoms, root)
    cfg = config(**{'data_root': str(root), 'train_dataloader.dataset.data_root': str(root)})
    first = samples_of(cfg, 'train', 1)[0].name
    mask = root / f'native/annotations/{first}.png'
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(mask)
    with pytest.raises(InputError, match=rf'{first}.png: holds the values 255; expected 0..1; .*tools/check_dataset.py'):
        samples_of(cfg, 'train', 1)
    mask.unlink()
    with pytest.raises(InputError, match=rf'{first}.png: no such file; .*tools/check_dataset.py'):
        samples_of(cfg, 'train', 1)
