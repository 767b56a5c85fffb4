from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from octfluid.datasets.hrf_dataset import HRFDataset
from octfluid.datasets.integrity import check_dataset
from octfluid.datasets.prepare.hrf import prepare
from octfluid.engine.config import dataset_spec, load_config
from octfluid.metrics.fluid_metric import FluidMetric
from octfluid.records.record import to_run, validate_record

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'hrf'
HEADS = {'fcn': ('FCNHead', '0.7945', '0.8892'), 'pspnet': ('PSPHead', '0.8007', '0.8924'),
         'deeplabv3': ('ASPPHead', '0.8021', '0.8932')}  # fmt: skip


@pytest.fixture
def data(tmp_path, write_hrf):
    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')
    return tmp_path / 'hrf'


@pytest.fixture
def check(data):
    """Check the data as training does; returns the problems."""

    def call():
        spec = dataset_spec(load_config(CONFIGS / 'fcn.py', {'data_root': str(data)}))
        return check_dataset(
            spec.root, spec.size_dir, spec.split, (64, 96), image_suffix=spec.image_suffix, image_modes=spec.image_modes
        ).problems

    return call


def test_samples(data):
    import octfluid.register  # noqa: F401

    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackFluidInputs')]
    init_default_scope('mmseg')
    assert DATASETS.get('HRFDataset') is HRFDataset
    dataset = HRFDataset(str(data), 'native', 'usual', 'train', pipeline=pipeline)
    assert dataset.metainfo['classes'] == ('background', 'vessel')
    assert len(dataset) == 3
    sample = dataset[1]
    assert (sample['data_samples'].name, sample['data_samples'].subject) == ('02_dr', 102)
    with Image.open(data / 'native/images/02_dr.jpg') as image:
        expected = np.asarray(image)[:, :, ::-1].transpose(2, 0, 1).astype(int)
    # Two JPEG decoders may round differently.
    assert np.abs(sample['inputs'].numpy().astype(int) - expected).max() <= 3
    truth = sample['data_samples'].gt_sem_seg.data[0]
    assert truth[10:20].eq(1).all()
    assert truth.sum() == 960


def test_sound_data(check):
    assert check() == []


def test_only_colour_photographs_in_jpeg(data, check):
    path = data / 'native/images/01_h.jpg'
    with Image.open(path) as image:
        image.convert('L').save(path)
    assert check() == [f'{path}: is a 8-bit gray image; expected RGB']
    path.rename(path.with_suffix('.png'))
    problems = check()
    assert f'{path.with_suffix(".png")}: not a .jpg file; expected only .jpg files here' in problems
    assert f'{data}/native/annotations/01_h.png: no image; expected {path}' in problems
    assert f"{data}/splits/usual_train.txt: '01_h' has no image or no mask" in problems


def test_scores_name_the_vessel_and_make_a_valid_record(make_record):
    metric = FluidMetric()
    metric.dataset_meta = HRFDataset.METAINFO
    truth, prediction = torch.zeros(1, 4, 4, dtype=torch.long), torch.zeros(1, 4, 4, dtype=torch.long)
    truth[0, 0], prediction[0, 0, :2] = 1, 1
    sample = dict(name='06_h', subject=6, pred_sem_seg=dict(data=prediction), gt_sem_seg=dict(data=truth))
    metric.process({}, [sample])
    metrics = metric.compute_metrics(metric.results)
    assert (metrics['IoU.vessel'], metrics['Dice.vessel']) == (pytest.approx(2 / 4), pytest.approx(4 / 6))
    record = make_record(config='configs/hrf/fcn.py', split='usual', images=metric.images, metrics=metrics)
    validate_record(record, 'x')
    run = to_run(Path('x.json'), record)
    assert (run.table, run.foreground) == ('hrf', 'vessel')


@pytest.mark.parametrize('head', HEADS)
def test_configs_say_what_the_zoo_trained(head):
    cfg = load_config(CONFIGS / f'{head}.py')
    kind, dice, mean_dice = HEADS[head]
    assert cfg.model.decode_head.type == kind
    assert f'vessel Dice {dice}, mDice {mean_dice}' in (CONFIGS / f'{head}.py').read_text()
    assert cfg.model.test_cfg == dict(mode='slide', crop_size=(256, 256), stride=(170, 170))
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.train_dataloader.dataset.pipeline == [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(2336, 3504), ratio_range=(0.5, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackFluidInputs'),
    ]
    assert cfg.train_dataloader.dataset.window_first is True
    assert 'window_first' not in cfg.val_dataloader.dataset
    assert cfg.val_dataloader.dataset.pipeline == [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(2336, 3504), keep_ratio=True),
        dict(type='LoadAnnotations'),
        dict(type='PackFluidInputs'),
    ]
    assert cfg.optim_wrapper.optimizer == dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4, fused=True)
    assert cfg.param_scheduler == [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40_000, by_epoch=False)]
    assert (cfg.train_cfg.max_iters, cfg.split, cfg.get('init')) == (40_000, 'usual', None)
    assert (cfg.default_hooks.checkpoint.interval, cfg.default_hooks.milestones.interval) == (1000, 4000)
