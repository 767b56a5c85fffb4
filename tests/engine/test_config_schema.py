import copy

import pytest

from octfluid.engine.config import load_config
from octfluid.engine.config_schema import RULES, check_kinds, refuse_nan
from octfluid.utils.errors import InputError

NATIVE, ROW10, SMOKE = 'configs/duke_dme/native.py', 'configs/table2/10_crop320_wd1e-4.py', 'configs/smoke/phantom.py'
GROUP, PART, PARTS = r'a group of settings, dict\(\.\.\.\)', r'dict\(type=', r'a list of dict\(type='
ABSENT = object()


@pytest.fixture(scope='module')
def configs(request):
    return {path: load_config(request.config.rootpath / path).to_dict() for path in (NATIVE, ROW10, SMOKE)}


def changed(cfg, place, value):
    """A copy with another value at a place, or without it, as a config file could have it."""
    cfg = copy.deepcopy(cfg)
    *parents, last = place.split('.')
    node = cfg
    for part in parents:
        node = node[int(part)] if part.isdigit() else node[part]
    if value is ABSENT:
        del node[last]
    else:
        node[int(last) if last.isdigit() else last] = value
    return cfg


@pytest.mark.parametrize(('place', 'value', 'expected'), [
    ('model', 5, PART), ('model', {'backbone': {}}, PART), ('model.type', 5, r'dict\(type=\.\.\., \.\.\.\)$'),
    ('model.decode_head', 5, PART), ('model.auxiliary_head', [5], PART), ('model.data_preprocessor', None, PART),
    ('model.decode_head.loss_decode', 5, PART), ('model.decode_head.loss_decode', [{'loss_weight': 1.0}], PART),
    ('train_dataloader', 5, GROUP), ('train_dataloader.dataset', None, PART), ('val_dataloader.dataset', ABSENT, PART),
    ('train_dataloader.dataset.type', dict, 'text'), ('train_dataloader.dataset.size_dir', 5, 'text'),
    ('train_dataloader.dataset.scan_size', 64, r'\(height, width\) in pixels, or None'),
    ('val_dataloader.dataset.scan_size', (64, 0), r'\(height, width\) in pixels, or None'),
    # Another side of the split would be trained on, and other labels.
    ('train_dataloader.dataset.subset', 'val', "'train'"), ('val_dataloader.dataset.subset', 'train', "'val'"),
    ('train_dataloader.dataset.metainfo', {'classes': ('fluid', 'background')}, 'no such setting'),
    ('train_dataloader.dataset.pipeline', None, PARTS), ('val_dataloader.dataset.pipeline', [5], PARTS),
    ('val_dataloader.dataset.pipeline', [{}], PARTS), ('val_dataloader.dataset.pipeline', ABSENT, PARTS),
    ('train_dataloader.sampler', 5, PART), ('val_dataloader.batch_size', ABSENT, 'a whole number, at least 1'),
    ('val_evaluator', 'x', GROUP), ('val_evaluator.ignore_index', 'x', 'a whole number, at least 0'),
    ('optim_wrapper', {}, PART), ('optim_wrapper.optimizer', None, PART), ('param_scheduler', [5], PART),
    ('default_hooks', [5], GROUP), ('default_hooks.logger', 5, PART), ('default_hooks.timer', None, PART),
    ('default_hooks.checkpoint.interval', 'x', 'a whole number, at least 1, or -1 for never'),
    ('default_hooks.checkpoint.interval', 0, 'a whole number, at least 1, or -1 for never'),
    ('default_hooks.logger.interval', 0, 'a whole number, at least 1'),
    ('custom_hooks', 5, PARTS), ('custom_hooks', [{'priority': 'LOW'}], PARTS),
    ('custom_hooks', [{'type': 'StepSeedHook'}], rf'{PARTS}.* with PlainCheckpointHook and RunStateHook, as in configs'),
    ('randomness', 'x', GROUP), ('env_cfg', 5, GROUP), ('env_cfg.dist_cfg', ABSENT, GROUP), ('init', 5, f'{GROUP}, or None'),
    ('val_evaluator.prefix', 'x', 'None'), ('val_evaluator.collect_device', 'x', "'cpu' or 'gpu'"),
    ('log_processor.window_size', 'x', 'a whole number'), ('param_scheduler.0.end', 1.5, 'a whole number'),
    ('default_hooks.checkpoint.by_epoch', True, 'False, since'), ('default_hooks.checkpoint.out_dir', 'x', 'no such setting'),
    ('train_cfg.val_begin', 'x', 'a whole number'), ('train_cfg.max_iters', 10**30, 'a whole number, .* at most 2147483647'),
    ('work_dir', 5, 'text, or None'), ('data_root', 1, 'text'), ('data_root', 'a\0b', 'text'), ('split', '', 'text'),
])  # fmt: skip
def test_a_value_of_another_kind_is_named(configs, place, value, expected):
    with pytest.raises(InputError, match=rf'^mine: .*{place.rpartition(".")[0]}.*; expected {expected}') as caught:
        check_kinds(changed(configs[SMOKE], place, value), 'mine')
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize('place', [rule for rule, _ in RULES if '.' not in rule and not rule.endswith('?')])
def test_what_no_training_can_do_without_is_missed(configs, place):
    for value in (ABSENT, None):
        with pytest.raises(InputError, match=f"^mine: no '{place}'; build on the configs in configs/_base_$"):
            check_kinds(changed(configs[SMOKE], place, value), 'mine')


@pytest.mark.parametrize(('place', 'value'), [
    ('model.auxiliary_head', ABSENT), ('model.auxiliary_head', None), ('model.backbone.type', dict),
    ('train_dataloader.sampler', None), ('train_dataloader.dataset.scan_size', None), ('train_dataloader.num_workers', ABSENT),
    ('val_dataloader.dataset.scan_size', [64, 64]), ('param_scheduler', None), ('param_scheduler', []),
    ('param_scheduler', {'type': 'PolyLR'}), ('default_hooks.logger', None), ('default_hooks.timer', ABSENT),
    ('default_hooks.checkpoint.interval', -1), ('default_hooks.checkpoint.max_keep_ckpts', -1), ('work_dir', 'elsewhere'),
    ('init', None), ('train_cfg.val_interval', 1000), ('optim_wrapper.optimizer.lr', 1e9),
])  # fmt: skip
def test_what_is_only_unwise_or_unusual_is_allowed(configs, place, value):
    check_kinds(changed(configs[SMOKE], place, value), 'mine')


def test_heads_and_losses_in_lists_are_named_by_number(configs):
    cfg = changed(configs[NATIVE], 'model.auxiliary_head.1.loss_decode', None)
    with pytest.raises(InputError, match=r'^mine: model\.auxiliary_head\.1\.loss_decode is None; expected'):
        check_kinds(cfg, 'mine')
    check_kinds(configs[NATIVE], 'mine')
    check_kinds(configs[ROW10], 'mine')


def test_nan_is_no_setting_and_infinity_may_be_one():
    with pytest.raises(InputError, match=r'^mine: optim_wrapper\.optimizer\.lr is nan; expected a number$'):
        refuse_nan({'optimizer': {'lr': float('nan')}}, 'optim_wrapper', 'mine')
    with pytest.raises(InputError, match=r'^mine: betas\.1 is nan'):
        refuse_nan((0.9, float('nan')), 'betas', 'mine')
    with pytest.raises(InputError, match=r'^mine: model has a setting called 5; expected text'):
        refuse_nan({5: 5}, 'model', 'mine')
    refuse_nan({'max_norm': float('inf'), 'name': 'nan'}, 'clip_grad', 'mine')


def test_kinds_are_checked_before_anything_is_read(write_config):
    for lines, said in {
        ('model = 5',): 'model is 5; expected',
        ('init = 5',): 'init is 5; expected',
        ('randomness = 5',): 'randomness is 5; expected',
        ("optim_wrapper = dict(optimizer=dict(lr=float('nan')))",): 'optim_wrapper.optimizer.lr is nan',
        ("train_dataloader = dict(_delete_=True, batch_size=2)",): "no 'train_dataloader.dataset'; expected",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=f'mine.py: {said}'):
            load_config(write_config(*lines), init='none', seed=3)


@pytest.mark.parametrize('init', ['dict(files=5)', 'dict(files=[None])', "dict(files=['a.pth'], reinit=5)"])
def test_names_of_initial_weights_are_text(write_config, init):
    with pytest.raises(InputError, match=r'mine\.py: init\.(files|reinit) is .*; expected names, as in init=dict'):
        load_config(write_config(f'init = {init}'))


@pytest.mark.parametrize('code', ['import sys; sys.exit(0)', 'raise SystemExit', 'raise GeneratorExit', 'def f(): f()\nf()'])
def test_a_config_cannot_end_python(write_config, code):
    with pytest.raises(InputError, match=r'mine\.py: cannot be read as a config \((SystemExit|GeneratorExit|RecursionError)'):
        load_config(write_config(code))


def test_ctrl_c_ends_the_reading_of_a_config(write_config):
    with pytest.raises(KeyboardInterrupt):
        load_config(write_config('raise KeyboardInterrupt'))
