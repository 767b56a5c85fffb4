import pytest

from octfluid.datasets.config_data import split_of
from octfluid.engine.config import load_config, parse_options
from octfluid.records.fingerprint import config_sha256, deciding_settings, is_result_neutral, overrides_of, resume_sha256
from octfluid.utils.errors import InputError

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'


@pytest.fixture
def row10(request):
    def load(options=None, **arguments):
        return load_config(request.config.rootpath / ROW10, options, **arguments)

    return load


def test_options_set_ordinary_keys(row10):
    cfg = row10({'data_root': '/data/My scans', 'train_cfg.max_iters': 5}, split='subject03', init='a.pth', seed=7)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.data_root == '/data/My scans'
    assert cfg.train_dataloader.dataset.ann_file == 'splits/subject03_train.txt'
    assert cfg.val_dataloader.dataset.ann_file == cfg.test_dataloader.dataset.ann_file == 'splits/subject03_val.txt'
    assert (cfg.load_from, cfg.randomness.seed, cfg.train_cfg.max_iters, split_of(cfg)) == ('a.pth', 7, 5, 'subject03')


def test_options_of_the_command_line_keep_spaces_and_types():
    found = parse_options(['data_root=/data/My scans', 'a.b=[1, 2]', 'c=None', 'd=0.5', 'e=(x,y)'])
    assert found == {'data_root': '/data/My scans', 'a.b': [1, 2], 'c': None, 'd': 0.5, 'e': ('x', 'y')}


@pytest.mark.parametrize(('options', 'named'), [
    ({'train_dataloadr.batch_size': 1}, 'train_dataloader'),
    ({'train_pipeline': []}, 'train_pipeline'), ({'model.decode_head.num_classes': 3}, 'num_classes'),
    ({'default_hooks.checkpoint.save_best': 'mIoU'}, 'save_best'),
    ({'train_dataloader.dataset.reduce_zero_label': True}, 'reduce_zero_label'),
    ({'val_dataloader.dataset.ann_file': 'splits/paper_train.txt'}, 'paper_train'),
    ({'train_cfg': dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=1)}, 'CountedSampler'),
])  # fmt: skip
def test_settings_that_would_be_passed_over_or_make_results_wrong(row10, options, named):
    with pytest.raises(InputError, match=named):
        row10(options)


def test_best_weights_may_be_chosen_on_inner_splits(row10):
    cfg = row10({'default_hooks.checkpoint.save_best': 'Dice.fluid'}, split='paper-inner1')
    assert cfg.default_hooks.checkpoint.rule == 'greater'


@pytest.mark.parametrize(('text', 'named'), [
    ('a = 1 / 0', 'mine.py'), ('import sys; sys.exit(0)', 'mine.py'), ('train_dataloadr = 1', 'train_dataloader'),
])  # fmt: skip
def test_files_that_are_no_configs(tmp_path, text, named):
    (tmp_path / 'mine.py').write_text(text)
    with pytest.raises(InputError, match=named):
        load_config(tmp_path / 'mine.py')


def test_scan_segmentor_sees_scans_of_one_size(request):
    path = request.config.rootpath / 'configs/duke_dme/compact.py'
    with pytest.raises(InputError, match='working_size'):
        load_config(path, {'model.working_size': (128, 192)})


@pytest.mark.parametrize(('options', 'decides'), [
    *((options, False) for options in (
        {'train_dataloader.num_workers': 0}, {'data_root': 'x'}, {'default_hooks.performance.window_batch': 1},
        {'default_hooks.checkpoint.interval': 7}, {'log_processor.window_size': 1}, {'optim_wrapper.optimizer.fused': False},
        {'train_cfg.val_interval': 50}, {'work_dir': 'x'})),
    *((options, True) for options in (
        {'train_dataloader.batch_size': 1}, {'optim_wrapper.optimizer.lr': 0.5}, {'custom_hooks': [dict(type='EMAHook')]},
        {'train_dataloader.dataset.pipeline.3.crop_size': (9, 9)}, {'default_hooks.step_seed': None})),
])  # fmt: skip
def test_which_settings_change_a_result(row10, options, decides):
    assert (config_sha256(row10(options)) != config_sha256(row10())) == decides
    assert 'data_root' in options or any(map(is_result_neutral, options)) != decides


def test_split_decides_and_length_may_be_resumed(row10):
    assert config_sha256(row10(split='all')) != config_sha256(row10(split='subject01')) != config_sha256(row10())
    longer = row10({'train_cfg.max_iters': 800})
    assert config_sha256(longer) != config_sha256(row10()) and resume_sha256(longer) == resume_sha256(row10())


def test_overrides_are_what_differs_from_the_file(row10):
    cfg = row10({'train_cfg.max_iters': 5, 'data_root': 'x', 'default_hooks.logger.interval': 1}, split='subject01')
    assert overrides_of(cfg, row10()) == {'train_cfg.max_iters': 5}
    assert 'model.backbone.type' in deciding_settings(cfg)


def test_a_test_set_of_ones_own_stays(row10):
    own = {'test_dataloader.dataset.ann_file': 'splits/own.txt', 'val_dataloader.num_workers': 0}
    assert row10(own).test_dataloader.dataset.ann_file == 'splits/own.txt'
    assert overrides_of(row10({'custom_hooks': [dict(type='EMAHook')]}), row10()) == {'custom_hooks.0.type': 'EMAHook'}
