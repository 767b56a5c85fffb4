import pytest

from octfluid.engine.config import load_config
from octfluid.engine.optim import enable_mixed_precision, precision_of
from octfluid.records.fingerprint import config_sha256, resume_settings
from octfluid.records.record import result_changing_overrides

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'
SMOKE = 'configs/smoke/phantom.py'
VESSELS = 'configs/hrf/pspnet.py'
WINDOW_FIRST = 'train_dataloader.dataset.window_first'


@pytest.fixture(autouse=True)
def at_the_root(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)


def digest(options=None, config=ROW10, **arguments):
    return config_sha256(load_config(config, options, **arguments))


@pytest.mark.parametrize('options', [
    {'optim_wrapper.optimizer.weight_decay': 0.5},
    {'optim_wrapper.clip_grad': {'max_norm': 1}},
    {'train_dataloader.dataset.pipeline.3.crop_size': (64, 64)},
    {'val_dataloader.dataset.pipeline.1.scale': (256, 256)},
    {'split': 'subject03'},
    {'model.decode_head.loss_decode.type': 'DiceLoss'},
    {'model.auxiliary_head.loss_decode.loss_weight': 1.0},
    {'model.test_cfg.stride': (85, 85)},
    {'train_dataloader.batch_size': 4},
    {'train_cfg.max_iters': 5},
    {'param_scheduler.0.end': 400},
    {'val_evaluator.ignore_index': 0},
    {'custom_hooks': [{'type': 'PlainCheckpointHook'}, {'type': 'RunStateHook'}]},
    {'default_hooks.ema': {'type': 'EMAHook'}},
    {'default_hooks.param_scheduler': None},
    {'init.reinit': ['decode_head.conv_seg']},
], ids=lambda options: next(iter(options)))  # fmt: skip
def test_digest_covers_what_decides_the_result(options):
    assert digest(options) != digest()


@pytest.mark.parametrize('options', [
    {'data_root': 'elsewhere'},
    {'train_dataloader.num_workers': 0},
    {'train_dataloader.num_workers': 7, 'train_dataloader.prefetch_factor': 4, 'train_dataloader.pin_memory': True},
    {'val_dataloader.num_workers': 0},
    {'default_hooks.logger.interval': 1},
    {'default_hooks.checkpoint.interval': 1},
    {'train_cfg.val_interval': 10},
    {'log_level': 'DEBUG'},
    {'randomness.seed': 5},
    {'init': None},
    {'custom_hooks.2.type': 'RunStateHook'},
], ids=lambda options: next(iter(options)))  # fmt: skip
def test_digest_leaves_out_what_does_not(options):
    assert digest(options) == digest()


def test_digest_leaves_out_precision():
    cfg = load_config(ROW10)
    enable_mixed_precision(cfg)
    assert cfg.optim_wrapper.type != 'OptimWrapper'
    assert config_sha256(cfg) == digest()


def test_digest_leaves_out_how_windows_are_cut():
    cfg = load_config(VESSELS)
    assert cfg.train_dataloader.dataset.pop('window_first') is True
    without = config_sha256(cfg)
    assert {digest({WINDOW_FIRST: value}, VESSELS) for value in (True, False)} == {without}
    assert digest({'train_dataloader.dataset.pipeline.3.crop_size': (128, 128)}, VESSELS) != without
    assert result_changing_overrides({WINDOW_FIRST: False, 'split': 'other'}) == ['split']


@pytest.mark.parametrize(('key', 'values'), [
    ('train_dataloader.dataset.cache_bytes', (0, 1000)),
    ('reuse_memory', (True, False)),
    ('prepare_weights', (True, False)),
    ('optim_wrapper.optimizer.fused', (True, False)),
])  # fmt: skip
def test_digest_leaves_out_what_changes_nothing_but_time(key, values):
    assert {digest({key: value}) for value in values} == {digest()}
    assert result_changing_overrides({key: values[1]}) == []


def test_run_may_go_on_with_windows_cut_in_another_way(run, tmp_path):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(64, 64), ratio_range=(0.8, 2.0), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(48, 48), cat_max_ratio=0.75),
        dict(type='PackFluidInputs'),
    ]
    options = {'train_dataloader.dataset.pipeline': pipeline, WINDOW_FIRST: False}
    whole = run(tmp_path / 'whole', options)
    run(tmp_path / 'halves', {**options, 'train_cfg.max_iters': 6})
    record = run(tmp_path / 'halves', {**options, WINDOW_FIRST: True}, resume=True)
    assert (record['iterations'], record['config_sha256']) == (12, whole['config_sha256'])
    for point, expected in zip(record['history'], whole['history'], strict=True):
        assert point['loss'] == pytest.approx(expected['loss'], rel=0.01)


def test_digest_leaves_out_how_a_setting_came_about(write_config):
    written = write_config('optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))', base='configs/table2/06_crop320.py')
    assert digest(config=written) == digest() != digest(config='configs/table2/06_crop320.py')


def test_precision_is_that_of_the_optimizer_wrapper():
    found = {
        precision_of(load_config(ROW10, options))
        for options in ({}, {'optim_wrapper.type': 'BFloat16OptimWrapper'}, {'optim_wrapper.type': 'AmpOptimWrapper'})
    }
    assert found == {'fp32', 'bf16', 'fp16'}
    cfg = load_config(ROW10, {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.dtype': 'bfloat16'})
    assert precision_of(cfg) == 'bf16'


def test_a_resumed_run_may_be_longer_but_not_different():
    def settings(options=None, **arguments):
        cfg = load_config(SMOKE, options, **arguments)
        cfg.precision = precision_of(cfg)
        return resume_settings(cfg)

    assert settings({'train_cfg.max_iters': 5, 'train_dataloader.num_workers': 0}) == settings()
    assert settings(seed=1) != settings()
    assert settings(split='other') != settings()
    assert settings({'optim_wrapper.optimizer.lr': 0.1}) != settings()
    assert settings({'optim_wrapper.type': 'BFloat16OptimWrapper'}) != settings()
