"""Settings and calls that would be done otherwise than a record says, or whose results would be lost without a word."""

import logging
import shutil

import pytest
import torch

from octfluid.engine.config import load_config, parse_options
from octfluid.engine.config_schema import check_kinds
from octfluid.engine.data_check import refuse_data_folder
from octfluid.utils.errors import InputError

SMOKE = 'configs/smoke/phantom.py'
SCANS = 'scores are those of all scans of the split'


@pytest.fixture
def smoke(request):
    return request.config.rootpath / SMOKE


@pytest.mark.parametrize(('place', 'value', 'expected'), [
    ('val_dataloader.dataset.indices', 2, f'None, since {SCANS}'), ('val_dataloader.drop_last', True, f'False, since {SCANS}'),
    ('val_dataloader.sampler.type', 'InfiniteSampler', r"dict\(type='DefaultSampler', \.\.\.\), which takes every scan once"),
    ('val_dataloader.sampler.type', 'CountedSampler', r"dict\(type='DefaultSampler', \.\.\.\), which takes every scan once"),
    ('val_cfg.fp16', True, 'False, since no record would tell'), ('default_hooks.checkpoint.max_keep_ckpts', 0, '2 or more'),
    ('randomness.seed', None, 'a whole number from 0 to 4294967295'), ('randomness.seed', -1, 'a whole number from 0'),
    ('randomness.seed', 1 << 32, 'a whole number from 0'), ('randomness.deterministic', 'maybe', 'True or False'),
])  # fmt: skip
def test_what_a_record_would_not_tell_is_refused(smoke, place, value, expected):
    with pytest.raises(InputError, match=rf'{place.removesuffix(".type")}.*; expected {expected}'):
        load_config(smoke, {place: value})


def test_a_seed_of_the_command_line_stands_in_for_that_of_the_config(smoke):
    assert load_config(smoke, {'randomness.seed': None}, seed=3).randomness.seed == 3
    check_kinds(load_config(smoke, {'train_dataloader.dataset.indices': 4, 'val_dataloader.drop_last': False}), 'mine')


def test_brackets_without_end_are_refused():
    with pytest.raises(InputError, match=r'model\.foo: too many brackets'):
        parse_options(['model.foo=' + 3000 * '[' + 3000 * ']'])


def test_nothing_is_written_where_the_data_lie(phantoms, tiny_options, smoke, tmp_path):
    cfg = load_config(smoke, tiny_options)
    link, linked = tmp_path / 'link', tmp_path / 'linked'
    link.symlink_to(phantoms / 'native')
    for place in (phantoms / 'native/images', phantoms / 'native/annotations/new', phantoms / 'splits', link / 'images'):
        with pytest.raises(InputError, match=r'^--show-dir .*: holds what is in .*; expected a folder without data'):
            refuse_data_folder(cfg, place, '--show-dir')
    refuse_data_folder(cfg, phantoms / 'overlays', '--show-dir')
    shutil.copytree(phantoms, linked)
    scan = next((linked / 'native/images').iterdir())
    scan.replace(tmp_path / scan.name)
    scan.symlink_to(tmp_path / scan.name)
    with pytest.raises(InputError, match=r'holds what is in'):
        refuse_data_folder(load_config(smoke, tiny_options | {'data_root': str(linked)}), tmp_path, '--show-dir')


def test_overlays_do_not_replace_scans(whole, score, phantoms, tmp_path, run):
    images = phantoms / 'native/images'
    before = {path.name: path.read_bytes() for path in images.iterdir()}
    with pytest.raises(InputError, match=r'^--out'):
        score(whole[0] / 'iter_12.pth', images)
    with pytest.raises(InputError, match=r'^--work-dir'):
        run(images)
    assert {path.name: path.read_bytes() for path in images.iterdir()} == before


def test_deterministic_kernels_of_a_config_are_used_recorded_and_kept_by_a_resume(run, tmp_path):
    asked = {'randomness.deterministic': True, 'train_cfg.max_iters': 2}
    try:
        assert run(tmp_path, asked)['deterministic']
        with pytest.raises(InputError, match='trained with deterministic True, not False'):
            run(tmp_path, {'train_cfg.max_iters': 3}, resume=True)
        path = tmp_path / 'iter_2.pth'
        content = torch.load(path, weights_only=True)
        del content['run']['settings']['deterministic']  # as in checkpoints from before it was noted
        torch.save(content, path)
        assert run(tmp_path, {'train_cfg.max_iters': 3}, resume=True)['iterations'] == 3
    finally:
        torch.use_deterministic_algorithms(False)


def warnings_of(folder):
    lines = [line for log in folder.glob('*/*.log') for line in log.read_text().splitlines()]
    return [line.partition('WARNING - ')[2] for line in lines if f' - {logging.getLevelName(logging.WARNING)} - ' in line]


@pytest.mark.parametrize(('options', 'said'), [
    ({'optim_wrapper.accumulative_counts': 3}, 'gradients of 2 of 3 iterations'),
    ({'train_dataloader.sampler': {'type': 'DefaultSampler', 'shuffle': True}}, 'DefaultSampler does not tell samples'),
    ({'custom_hooks': [{'type': 'PlainCheckpointHook'}, {'type': 'RunStateHook'}]}, 'without StepSeedHook'),
    ({}, None),
])  # fmt: skip
def test_a_resume_that_is_not_exact_says_so(run, tmp_path, options, said):
    run(tmp_path, options | {'train_cfg.max_iters': 2})
    run(tmp_path, options | {'train_cfg.max_iters': 3}, resume=True)
    found = [line for line in warnings_of(tmp_path) if 'not as if it had not been interrupted' in line]
    assert len(found) == (said is not None) and all(said in line for line in found)


@pytest.mark.parametrize(('options', 'warned'), [
    ({'model.decode_head.loss_decode.0.class_weight': [1.0, 1.0]}, True),
    ({'train_cfg.max_iters': 99, 'val_dataloader.num_workers': 1}, False),
])  # fmt: skip
def test_a_score_by_another_config_than_that_of_the_training_says_so(whole, score, tmp_path, options, warned):
    score(whole[0] / 'iter_12.pth', tmp_path, options)
    assert any('trained with other settings than' in line for line in warnings_of(tmp_path)) is warned
