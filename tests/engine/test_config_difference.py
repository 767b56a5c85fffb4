import pytest

from octfluid.engine.config import load_config
from octfluid.engine.config_difference import config_text, difference
from octfluid.records.fingerprint import config_sha256


@pytest.fixture(scope='module')
def table2(request):
    folder = request.config.rootpath / 'configs/table2'
    return lambda stem: load_config(folder / f'{stem}.py')


def test_rows_differ_in_what_the_table_says(table2):
    row6 = table2('06_crop320')
    assert difference(row6, table2('10_crop320_wd1e-4')) == ['optim_wrapper.optimizer.weight_decay: 0.0005 -> 0.0001']
    crop = "{'type': 'RandomCrop', 'crop_size': (320, 320), 'cat_max_ratio': 0.75}"
    step = 'train_dataloader.dataset.pipeline[3]'
    assert difference(table2('02_iters400'), row6) == [f'{step}: not set -> {crop}']
    assert difference(row6, table2('02_iters400')) == [f'{step}: {crop} -> not set']
    assert difference(row6, table2('05_crop224')) == [f'{step}.crop_size: (320, 320) -> (224, 224)']
    flip = "{'type': 'RandomFlip', 'prob': 0.5, 'direction': 'horizontal'}"
    assert difference(row6, table2('03_flip')) == [f'{step}: {crop} -> {flip}']
    assert difference(row6, table2('09_crop320_adam')) == [
        'optim_wrapper.optimizer.momentum: 0.9 -> not set',
        "optim_wrapper.optimizer.type: 'SGD' -> 'Adam'",
    ]
    assert difference(row6, table2('06_crop320')) == []


def test_shifted_steps_are_compared_with_themselves(table2, write_config):
    """A step put in front moves all others on; only one of those has another setting."""
    path = write_config(
        'train_pipeline = [',
        "    dict(type='RandomFlip', prob=0.25),",
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='LoadAnnotations'),",
        "    dict(type='Resize', scale=(512, 512), keep_ratio=False),",
        "    dict(type='RandomCrop', crop_size=[320, 320], cat_max_ratio=0.75),",
        ']',
        'train_dataloader = dict(dataset=dict(pipeline=train_pipeline))',
        'env_cfg = dict(cudnn_benchmark=True)',
        'init = None',
    )
    key = 'train_dataloader.dataset.pipeline'
    first = table2('10_crop320_wd1e-4')
    first.env_cfg.cudnn_benchmark = 1
    first.init = 'a file'
    assert difference(first, load_config(path)) == [
        'env_cfg.cudnn_benchmark: 1 -> True',
        "init: 'a file' -> None",
        f"{key}[0]: not set -> {{'type': 'RandomFlip', 'prob': 0.25}}",
        f'{key}[2 -> 3].keep_ratio: True -> False',
        f"{key}[4]: {{'type': 'PackFluidInputs'}} -> not set",
    ]


def test_text_is_a_config_with_the_same_settings(table2, tmp_path, write_config):
    """A file on its own that means the same: one digest, no difference, and no variables that say something else."""
    for cfg in (table2('10_crop320_wd1e-4'), load_config(write_config('zoom = dict(scale=3)', "split = 'subject03'"))):
        text = config_text(cfg)
        (tmp_path / 'copy.py').write_text(text)
        copy = load_config(tmp_path / 'copy.py')
        assert (difference(cfg, copy), difference(copy, cfg)) == ([], [])
        assert config_sha256(copy) == config_sha256(cfg)
        namespace = {}
        exec(compile(text, 'copy.py', 'exec'), namespace)
        assert namespace['optim_wrapper']['optimizer']['weight_decay'] == 0.0001
        assert not {'zoom', 'optimizer', 'train_pipeline', 'test_dataloader'} & set(namespace)
