import pytest

from octfluid.engine.config import dataset_spec, load_config, parse_options
from octfluid.utils.errors import InputError

ROW10 = 'configs/table2/10_crop320_wd1e-4.py'
SMOKE = 'configs/smoke/phantom.py'


@pytest.fixture(autouse=True)
def at_the_root(request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)


def test_options_are_parsed_as_mmsegmentation_parses_them():
    options = parse_options(['train_cfg.max_iters=5', 'split=paper', 'a.b=[1,2]', 'c=(3,4)', 'd=true', 'init=None', 'e=x=y'])
    assert options == {
        'train_cfg.max_iters': 5, 'split': 'paper', 'a.b': [1, 2], 'c': (3, 4), 'd': True, 'init': None, 'e': 'x=y',
    }  # fmt: skip
    assert parse_options(None) == {}
    for bad in ('train_cfg.max_iters', '=5'):
        with pytest.raises(InputError, match='expected KEY=VALUE'):
            parse_options([bad])


def test_overrides_reach_dicts_and_lists():
    cfg = load_config(ROW10, {'train_cfg.max_iters': 7, 'train_dataloader.dataset.pipeline.3.crop_size': (64, 64)})
    assert cfg.train_cfg.max_iters == 7
    assert cfg.train_dataloader.dataset.pipeline[3].crop_size == (64, 64)
    assert cfg.train_dataloader.dataset.pipeline[3].cat_max_ratio == 0.75


def test_split_and_data_root_reach_every_dataset():
    cfg = load_config(ROW10, {'data_root': 'elsewhere'}, split='subject03')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert (loader.dataset.split, loader.dataset.data_root) == ('subject03', 'elsewhere')
    assert load_config(ROW10).val_dataloader.dataset.split == 'paper'


def test_seed_and_initial_weights():
    cfg = load_config(ROW10, seed=7, init='weights.pth')
    assert cfg.randomness.seed == 7
    assert cfg.init == dict(files=['weights.pth'], reinit=[])
    assert load_config(ROW10, init='none').init is None
    assert len(load_config(ROW10).init.files) == 2


def test_init_keeps_the_heads_that_the_config_trains_anew(write_config):
    path = write_config("init = dict(reinit=['decode_head.conv_seg'])")
    assert load_config(path, init='weights.pth').init == dict(files=['weights.pth'], reinit=['decode_head.conv_seg'])


def test_a_single_initial_file_may_be_given_as_text():
    assert load_config(ROW10, {'init.files': 'weights.pth', 'init.reinit': 'decode_head'}).init == dict(
        files=['weights.pth'], reinit=['decode_head']
    )


@pytest.mark.parametrize(('line', 'found'), [
    ("init = dict(_delete_=True, file=['a.pth'])", "init has 'file'"),
    ('init = dict(files=[])', 'init names no files'),
])  # fmt: skip
def test_malformed_init_is_refused(write_config, line, found):
    with pytest.raises(InputError, match=found):
        load_config(write_config(line))


def test_no_workers_means_no_persistent_workers():
    # torch refuses to build a loader that has one without the other.
    cfg = load_config(ROW10, {'train_dataloader.num_workers': 0})
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


@pytest.mark.parametrize(('typo', 'nearest'), [
    ('train_dataloadr', 'train_dataloader'), ('optim_wraper', 'optim_wrapper'), ('val_evaluater', 'val_evaluator'),
    ('modle', 'model'), ('data_rot', 'data_root'), ('param_schedulers', 'param_scheduler'), ('custom_hook', 'custom_hooks'),
    ('window_batches', 'window_batch'), ('amp_scorin', 'amp_scoring'),
])  # fmt: skip
def test_misspelt_top_level_key_names_the_nearest(write_config, typo, nearest):
    path = write_config(f'{typo} = dict()')
    with pytest.raises(InputError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: unknown top-level key '{typo}'; did you mean '{nearest}'?"
    with pytest.raises(InputError, match=f"unknown key '{typo}'; did you mean '{nearest}'"):
        load_config(ROW10, {typo: 1})


def test_helper_variables_at_top_level_are_allowed(write_config):
    assert load_config(write_config('crop_size = (64, 64)', 'my_setting = 1')).my_setting == 1


@pytest.mark.parametrize(('key', 'message'), [
    ('train_cfg.max_iter', "unknown key 'max_iter'; did you mean 'max_iters'"),
    ('modle.backbone.base_channels', "has no 'modle'; did you mean 'model'"),
    ('model.backbon.base_channels', "has no 'model.backbon'; did you mean 'backbone'"),
    ('train_dataloader.dataset.pipeline.9.scale', "has no 'train_dataloader.dataset.pipeline.9'"),
    ('optim_wrapper.optimizer.weight_decai', "did you mean 'weight_decay'"),
])  # fmt: skip
def test_misspelt_override_is_refused(key, message):
    with pytest.raises(InputError, match=message) as caught:
        load_config(ROW10, {key: 5})
    assert '\n' not in str(caught.value)


def test_override_may_add_a_setting():
    assert load_config(ROW10, {'optim_wrapper.clip_grad': {'max_norm': 1}}).optim_wrapper.clip_grad.max_norm == 1


def test_override_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match='--cfg-options train_cfg=5: is a group of settings'):
        load_config(ROW10, {'train_cfg': 5})
    with pytest.raises(InputError, match=r'--cfg-options train_dataloader\.dataset\.pipeline\.9=5: does not fit'):
        load_config(ROW10, {'train_dataloader.dataset.pipeline.9': 5})


def test_missing_file():
    with pytest.raises(InputError, match=r'no config file at configs/nowhere\.py; expected'):
        load_config('configs/nowhere.py')


@pytest.mark.parametrize(('content', 'message'), [
    ('a = (1,\nb = 2\n', 'line 1: not valid Python'),
    ('a = 1 / 0\n', 'ZeroDivisionError: division by zero'),
    ("_base_ = './absent.py'\n", 'absent.py'),
    ("custom_imports = dict(imports=['no_such_module'], allow_failed_imports=False)\n", 'no_such_module'),
    ('a = 1\n', "no 'model'; build on the configs in configs/_base_"),
])  # fmt: skip
def test_unreadable_config_is_named(tmp_path, content, message):
    path = tmp_path / 'broken.py'
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


def test_file_that_is_no_python(tmp_path):
    path = tmp_path / 'broken.txt'
    path.write_text('hello')
    with pytest.raises(InputError, match=r'broken\.txt: cannot be read as a config'):
        load_config(path)


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_reduce_zero_label_is_refused(write_config, loader):
    with pytest.raises(InputError, match='reduce_zero_label=True would drop the background'):
        load_config(write_config(f'{loader} = dict(dataset=dict(reduce_zero_label=True))'))


@pytest.mark.parametrize('head', ['decode_head', 'auxiliary_head'])
def test_number_of_classes_comes_from_the_dataset(write_config, head):
    with pytest.raises(InputError, match=rf'{head}\.num_classes=3, but the dataset has 2 classes'):
        load_config(write_config(f'model = dict({head}=dict(num_classes=3))'))
    assert load_config(write_config(f'model = dict({head}=dict(num_classes=2))')).model[head].num_classes == 2


@pytest.mark.parametrize('line', [
    'test_dataloader = dict(batch_size=1)',
    "test_evaluator = dict(type='IoUMetric')",
])  # fmt: skip
def test_testing_is_validation(write_config, line):
    with pytest.raises(InputError, match='testing is validation'):
        load_config(write_config(line))


@pytest.mark.parametrize('line', ["load_from = 'weights.pth'", 'resume = True'])
def test_second_ways_to_load_weights_are_refused(write_config, line):
    with pytest.raises(InputError, match='sets load_from or resume; name initial weights with --init'):
        load_config(write_config(line))


@pytest.mark.parametrize('key', ['data_root', 'split'])
@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_a_dataset_cannot_have_data_of_its_own(key, loader):
    with pytest.raises(InputError, match=f'set the top-level {key} instead'):
        load_config(ROW10, {f'{loader}.dataset.{key}': 'elsewhere'})


LAST, ONE = 'must save the last weights', 'max_keep_ckpts=1 would delete the only checkpoint'
BEST = "default_hooks = dict(checkpoint=dict(save_best='Dice.fluid', rule='greater'))"


@pytest.mark.parametrize('split', ['paper', 'subject03'])
def test_best_weights_cannot_be_picked_on_images_that_are_reported(write_config, split):
    with pytest.raises(InputError, match=f"save_best on split '{split}' would pick weights on the images that are reported"):
        load_config(write_config(BEST), split=split)


def test_best_weights_may_be_picked_on_an_inner_split(write_config):
    assert load_config(write_config(BEST), split='paper-inner1').default_hooks.checkpoint.save_best == 'Dice.fluid'


@pytest.mark.parametrize(('hook', 'said'), [('dict(save_last=False)', LAST), ('None', LAST), ('dict(max_keep_ckpts=1)', ONE)])
def test_checkpoints_must_be_kept_and_the_last_weights_saved(write_config, hook, said):
    with pytest.raises(InputError, match=said):
        load_config(write_config(f'default_hooks = dict(checkpoint={hook})'))


@pytest.mark.parametrize('dataset', ['ADE20KDataset', 'NoSuchDataset'])
def test_foreign_dataset_is_refused(write_config, dataset):
    with pytest.raises(InputError, match=f"dataset type '{dataset}' is not one of octfluid's; expected DukeDMEDataset"):
        load_config(write_config(f"train_dataloader = dict(dataset=dict(type='{dataset}'))"))


def test_dataset_spec():
    spec = dataset_spec(load_config(ROW10, split='subject03'))
    assert (spec.root, spec.size_dir, spec.split, spec.size) == ('data/duke_dme', 'paper_256', 'subject03', (256, 256))
    assert spec.classes == ('background', 'fluid')


def test_best_is_the_greatest_without_saying_so(write_config):
    cfg = load_config(write_config("default_hooks = dict(checkpoint=dict(save_best='Dice.fluid'))"), split='paper-inner1')
    assert cfg.default_hooks.checkpoint.rule == 'greater'


def test_evaluator_that_feeds_no_record_is_refused():
    with pytest.raises(InputError, match="val_evaluator is 'IoUMetric'; expected FluidMetric"):
        load_config(ROW10, {'val_evaluator.type': 'IoUMetric'})


@pytest.mark.parametrize('setting', ['out_channels=1', 'threshold=0.3'])
def test_one_output_for_two_classes_is_refused(write_config, setting):
    with pytest.raises(InputError, match='decode_head sets out_channels or threshold'):
        load_config(write_config(f'model = dict(decode_head=dict({setting}))'))


def test_ignored_label_must_be_declared(write_config):
    assert dataset_spec(load_config(ROW10)).ignore_index is None
    assert dataset_spec(load_config(ROW10, {'val_evaluator.ignore_index': 255})).ignore_index == 255


@pytest.mark.parametrize('value', ['0', '-5', "'many'", '2.5', 'True'])
@pytest.mark.parametrize('key', ['train_cfg.max_iters', 'train_dataloader.batch_size'])
def test_counts_must_be_whole_and_positive(key, value):
    with pytest.raises(InputError, match=rf'{key} is .*; expected a whole number, at least 1'):
        load_config(ROW10, parse_options([f'{key}={value}']))


@pytest.mark.parametrize('key', ['optimizer.lr', 'train_pipeline', 'norm_cfg.type', 'dataset.size_dir'])
def test_override_of_a_mere_variable_is_refused(key):
    with pytest.raises(InputError, match=f"'{key.split('.')[0]}' is only a variable of the config file"):
        load_config(ROW10, {key: 1})


@pytest.mark.parametrize('key', ['lr', 'max_iters', 'size_dir'])
def test_override_that_nothing_reads_is_refused(key):
    with pytest.raises(InputError, match=f"nothing reads '{key}'"):
        load_config(ROW10, {key: 1})


@pytest.mark.parametrize('value', ['0', '-1', '2.5', 'True', 'many'])
def test_windows_at_once_are_a_whole_number_auto_or_none(value):
    with pytest.raises(InputError, match=r"window_batch is .*; expected a whole number, at least 1, 'auto', or None") as caught:
        load_config(ROW10, parse_options([f'window_batch={value}']))
    assert '\n' not in str(caught.value)
    assert load_config(ROW10, parse_options(['window_batch=None'])).window_batch is None
    assert load_config(ROW10, parse_options(['window_batch=1'])).window_batch == 1
    assert load_config(ROW10, parse_options(['window_batch=auto'])).window_batch == load_config(ROW10).window_batch == 'auto'


@pytest.mark.parametrize(('options', 'said'), [
    (['model.test_cfg.stride=(257,170)'], r'crop_size=\(256, 256\) and stride=\(257, 170\); .* at most crop_size'),
    (['model.test_cfg.stride=(170,257)'], 'at most crop_size'),
    (['model.test_cfg.stride=(0,170)'], 'two whole numbers'),
    (['model.test_cfg.stride=170'], 'stride=170; expected two whole numbers'),
    (['model.test_cfg.crop_size=None'], 'crop_size=None'),
    (['model.test_cfg.mode=slid'], "model.test_cfg.mode is 'slid'; expected 'slide' or 'whole'"),
    (['model.test_cfg=None'], 'model.test_cfg.mode is None'),
])  # fmt: skip
def test_windows_that_cannot_cover_a_scan_are_refused(options, said):
    with pytest.raises(InputError, match=said) as caught:
        load_config(ROW10, parse_options(options))
    assert '\n' not in str(caught.value)


def test_windows_side_by_side_cover_a_scan():
    options = parse_options(['model.test_cfg.crop_size=(256,128)', 'model.test_cfg.stride=256,128'])
    assert list(load_config(ROW10, options).model.test_cfg.stride) == [256, 128]
    whole = parse_options(['model.test_cfg.mode=whole', 'model.test_cfg.stride=(999,999)'])
    assert load_config(ROW10, whole).model.test_cfg.mode == 'whole'


@pytest.mark.parametrize('value', ['-1', '1.5', 'many', 'None', 'True'])
@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_workers_are_a_whole_number(loader, value):
    with pytest.raises(InputError, match=rf'{loader}\.num_workers is .*; expected a whole number, at least 0'):
        load_config(ROW10, parse_options([f'{loader}.num_workers={value}']))
    assert load_config(ROW10, parse_options([f'{loader}.num_workers=0']))[loader].num_workers == 0


@pytest.mark.parametrize('value', ['1', 'None', 'bf16'])
def test_precision_of_scoring_is_a_yes_or_no(value):
    with pytest.raises(InputError, match=r'amp_scoring is .*; expected True or False'):
        load_config(ROW10, parse_options([f'amp_scoring={value}']))
    assert load_config(ROW10, parse_options(['amp_scoring=True'])).amp_scoring is True


def test_trainings_on_photographs_alone_are_scored_in_mixed_precision():
    assert load_config('configs/hrf/pspnet.py').amp_scoring is True
    assert not load_config(ROW10).get('amp_scoring')
