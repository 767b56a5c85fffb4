import copy

import pytest
from mmengine.config import ConfigDict

from octfluid.engine.config import load_config
from octfluid.engine.config_checks import (
    check_datasets,
    check_losses,
    check_monitors,
    check_scan_segmentor,
    check_scoring,
)
from octfluid.utils.errors import InputError

COMPACT, NATIVE, ROW10 = 'configs/duke_dme/compact.py', 'configs/duke_dme/native.py', 'configs/table2/10_crop320_wd1e-4.py'
RESIZE, STANDARDIZE = ConfigDict(type='Resize', scale=(384, 256)), ConfigDict(type='StandardizeScan')


@pytest.fixture(scope='module')
def resolved(request):
    """Copies of resolved configs, which take long to read, with other settings."""
    root, known = request.config.rootpath, {}

    def make(path, **options):
        cfg = copy.deepcopy(known.setdefault(path, load_config(root / path)))
        cfg.merge_from_dict(options)
        return cfg

    return make


def steps_of(cfg, subset='train'):
    return cfg[f'{subset}_dataloader'].dataset.pipeline


@pytest.mark.parametrize('path', [COMPACT, NATIVE, ROW10])
def test_configs_of_ours_pass(resolved, path):
    check_scoring(resolved(path), path)
    check_scan_segmentor(resolved(path), path)


def test_a_config_is_checked_when_it_is_read(request):
    path = request.config.rootpath / COMPACT
    with pytest.raises(InputError, match=r'compact\.py: the training pipeline resizes to \[\(256, 384\)\] and'):
        load_config(path, {'model.working_size': (128, 192)})
    with pytest.raises(InputError, match=r"compact\.py: model\.test_cfg\.weighting is 'gaussian'"):
        load_config(path, {'model.test_cfg.weighting': 'gaussian'})


@pytest.mark.parametrize(('key', 'value'), [('type', 'HRFDataset'), ('size_dir', 'native'), ('scan_size', None)])
def test_what_is_scored_is_of_the_kind_that_is_checked(resolved, key, value):
    cfg = resolved(ROW10)
    check_datasets(cfg, 'mine')
    cfg.val_dataloader.dataset[key] = value
    with pytest.raises(InputError, match=rf'^mine: val_dataloader\.dataset\.{key} is {value!r}; expected .*, as in train'):
        check_datasets(cfg, 'mine')


@pytest.mark.parametrize('size', [(128, 192), (384, 256), [256, 383], None])
def test_the_network_resizes_to_what_the_training_saw(resolved, size):
    cfg = resolved(COMPACT, **{'model.working_size': size})
    with pytest.raises(
        InputError, match=r'mine: .* resizes to \[\(256, 384\)\] and model\.working_size is .*; expected the same'
    ):
        check_scan_segmentor(cfg, 'mine')


def test_a_working_size_as_a_list_is_the_same_size(resolved):
    check_scan_segmentor(resolved(COMPACT, **{'model.working_size': [256, 384]}), 'mine')


def test_a_size_that_the_training_never_saw_is_refused(resolved):
    with pytest.raises(InputError, match=r'resizes to no size and model\.working_size is \(256, 384\)'):
        check_scan_segmentor(resolved(NATIVE, **{'model.working_size': (256, 384)}), 'mine')


def test_two_resizes_are_refused(resolved):
    cfg = resolved(COMPACT)
    steps_of(cfg).insert(2, RESIZE)
    with pytest.raises(InputError, match=r'resizes to \[\(256, 384\), \(256, 384\)\]'):
        check_scan_segmentor(cfg, 'mine')


@pytest.mark.parametrize('settings', [dict(scale=(384, 256), keep_ratio=True), dict(scale_factor=0.5), dict(scale=256)])
def test_a_resize_whose_result_depends_on_the_scan_is_refused(resolved, settings):
    cfg = resolved(COMPACT)
    steps_of(cfg)[2] = ConfigDict(type='Resize', **settings)
    with pytest.raises(InputError, match=rf"resizes to \[\{{'type': 'Resize', '{next(iter(settings))}'"):
        check_scan_segmentor(cfg, 'mine')


@pytest.mark.parametrize('size', [256, (256,), (256, 384, 1), (0, 384), (256.0, 384.0), 'native', (True, 384)])
def test_a_working_size_that_is_no_two_numbers_is_refused(resolved, size):
    cfg = resolved(COMPACT)
    cfg.model.working_size = size
    with pytest.raises(InputError, match=r'mine: model\.working_size is .*; expected \(height, width\) in pixels, or None'):
        check_scan_segmentor(cfg, 'mine')


@pytest.mark.parametrize('number', [0, 2])
def test_training_standardises_once_as_prediction_does(resolved, number):
    cfg = resolved(COMPACT)
    rest = [step for step in steps_of(cfg) if step.type != 'StandardizeScan']
    assert len(rest) == len(steps_of(cfg)) - 1
    cfg.train_dataloader.dataset.pipeline = [*rest[:-1], *[STANDARDIZE] * number, rest[-1]]
    with pytest.raises(InputError, match='mine: expected StandardizeScan once in the training pipeline'):
        check_scan_segmentor(cfg, 'mine')


@pytest.mark.parametrize('step', [RESIZE, STANDARDIZE])
def test_scoring_leaves_to_the_network_what_it_does_by_itself(resolved, step):
    cfg = resolved(COMPACT)
    steps_of(cfg, 'val').insert(1, step)
    with pytest.raises(InputError, match=f'mine: the scoring pipeline has {step["type"]}, which ScanSegmentor does by itself'):
        check_scan_segmentor(cfg, 'mine')


def test_other_segmentors_are_left_alone(resolved):
    assert 'Resize' in {step.type for step in steps_of(resolved(ROW10), 'val')}
    check_scan_segmentor(resolved(ROW10), 'mine')


@pytest.mark.parametrize(('path', 'options', 'found'), [
    (COMPACT, {'model.test_cfg.weighting': 'gaussian'}, "'gaussian'"),  # whole scans: there is nothing to weigh
    (NATIVE, {'window_batch': None}, "'gaussian'"),  # mmseg's own slide inference would ignore it
    (NATIVE, {'model.test_cfg.weighting': 'gauss'}, "'gauss'"),
    (NATIVE, {'model.test_cfg.weighting': True}, 'True'),
])  # fmt: skip
def test_weights_of_windows_need_windows_that_are_weighed(resolved, path, options, found):
    with pytest.raises(InputError, match=rf'mine: model\.test_cfg\.weighting is {found}; expected None, or .gaussian. with'):
        check_scoring(resolved(path, **options), 'mine')


@pytest.mark.parametrize('place', ['decode_head', 'auxiliary_head.1'])
def test_class_weights_that_mmseg_cannot_average_are_refused(resolved, place):
    loss = f'model.{place}.loss_decode.0'
    weights = {f'{loss}.class_weight': [0.1, 8.0]}
    said = rf'mine: model\.{place.partition(".")[0]} has CrossEntropyLoss with class_weight and avg_non_ignore'
    with pytest.raises(InputError, match=said):
        check_losses(resolved(COMPACT, **weights), 'mine')
    check_losses(resolved(COMPACT, **weights, **{f'{loss}.avg_non_ignore': False}), 'mine')
    check_losses(resolved(COMPACT), 'mine')


@pytest.mark.parametrize(('options', 'message'), [
    ({'default_hooks.checkpoint.save_best': 'fluid'}, r"checkpoint\.save_best is 'fluid'; expected one of the scores, mIoU"),
    ({'default_hooks.checkpoint.save_best': ['mDice', 5]}, r'checkpoint\.save_best is 5; expected one of'),
    ({'default_hooks.checkpoint.foo': 5}, "default_hooks.checkpoint has 'foo', which CheckpointHook does not know"),
    ({'param_scheduler': [{'type': 'ReduceOnPlateauLR', 'monitor': 'x'}]}, r"param_scheduler\.0\.monitor is 'x'; expected"),
    ({'custom_hooks.0.monitor': 'x'}, r"custom_hooks\.0\.monitor is 'x'; expected one of the scores"),
])  # fmt: skip
def test_scores_that_there_are_not_are_refused(resolved, options, message):
    with pytest.raises(InputError, match=f'mine: .*{message}'):
        check_monitors(resolved(ROW10, **options), ('background', 'fluid'), 'mine')


@pytest.mark.parametrize('best', ['auto', 'Dice.fluid', ['mDice', 'mIoU'], None])
def test_scores_that_there_are_may_be_followed(resolved, best):
    options = {'default_hooks.checkpoint.save_best': best, 'param_scheduler.0.monitor': 'IoU.background'}
    check_monitors(resolved(ROW10, **options), ('background', 'fluid'), 'mine')


@pytest.mark.parametrize(('options', 'message'), [
    ({'window_batch': 0}, r"window_batch is 0; expected a whole number, at least 1, 'auto', or None"),
    ({'window_batch': True}, 'window_batch is True; expected'),
    ({'amp_scoring': 1}, 'amp_scoring is 1; expected True or False'),
    ({'reuse_memory': 'yes'}, "reuse_memory is 'yes'; expected True or False"),
    ({'channels_last': 'perhaps'}, "channels_last is 'perhaps'; expected True or False"),
    ({'optim_wrapper.optimizer.fused': 'oui'}, r"optim_wrapper\.optimizer\.fused is 'oui'; expected True or False"),
    ({'prepare_weights': None}, 'prepare_weights is None; expected True or False'),
    ({'model.test_cfg.mode': 'windows'}, r"model\.test_cfg\.mode is 'windows'; expected 'slide' or 'whole'"),
    ({'model.test_cfg.stride': (161, 513)}, r'and stride=\(161, 513\); expected two whole numbers each, and a stride'),
    ({'model.test_cfg.crop_size': 320}, r'model\.test_cfg has crop_size=320 and'),
])  # fmt: skip
def test_settings_that_scoring_does_not_know_are_refused(resolved, options, message):
    with pytest.raises(InputError, match=f'mine: .*{message}'):
        check_scoring(resolved(NATIVE, **options), 'mine')
