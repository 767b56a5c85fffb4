"""Trainings whose weights that count are an average of those of many iterations."""

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from tiny_scans import AVERAGE, CONFIG, scan_options, score_scans, train_scans

from octfluid.engine.checkpoint import read_checkpoint
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError

LAST = 'iter_12.pth'
MOMENTUM = 0.2


class WeightSpy(Hook):
    """Note the weights after each step."""

    seen: list = []  # noqa: RUF012  mmengine builds hooks itself, so a test can only read class attributes

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Copy them."""
        self.seen.append({name: tensor.clone() for name, tensor in runner.bare_model.state_dict().items()})


@pytest.fixture(scope='module')
def options(phantoms):
    fast = {'optim_wrapper.optimizer.lr': 0.02, 'param_scheduler.0.end': 2, f'custom_hooks.{AVERAGE}.momentum': MOMENTUM}
    # Without these weights, so short a training predicts background everywhere.
    loss = 'model.decode_head.loss_decode.0'
    return {**scan_options(phantoms), **fast, f'{loss}.class_weight': [0.1, 8.0], f'{loss}.avg_non_ignore': False}


@pytest.fixture(scope='module')
def averaged(options, hurry, on_cpu, tmp_path_factory):
    """An uninterrupted run of 12 iterations: its folder and its record."""
    folder = tmp_path_factory.mktemp('averaged')
    return folder, train_scans(folder, options)


def test_the_checkpoint_s_weights_are_the_moving_average_of_every_step_s(options, hurry, on_cpu, tmp_path, monkeypatch):
    monkeypatch.setitem(HOOKS._module_dict, 'WeightSpy', WeightSpy)
    monkeypatch.setattr(WeightSpy, 'seen', [])
    hooks = [dict(hook) for hook in load_config(CONFIG, options).custom_hooks]
    train_scans(tmp_path, {**options, 'custom_hooks': [*hooks, dict(type='WeightSpy')]})
    assert len(WeightSpy.seen) == 12
    expected, *later = WeightSpy.seen
    for weights in later:
        expected = {name: old + MOMENTUM * (weights[name] - old) for name, old in expected.items()}
    found = read_checkpoint(tmp_path / LAST)
    for name, tensor in WeightSpy.seen[-1].items():
        assert torch.equal(found['ema_state_dict'][f'module.{name}'], tensor)  # where mmengine keeps what training goes on from
        if tensor.is_floating_point():
            assert torch.allclose(found['state_dict'][name], expected[name], atol=1e-6), name
    kernel = 'decode_head.conv_seg.weight'
    assert not torch.allclose(expected[kernel], WeightSpy.seen[-1][kernel], atol=1e-3), 'the average must not be the last'


def test_testing_the_checkpoint_repeats_the_training_s_counts(averaged, options, tmp_path):
    folder, record = averaged
    assert sum(row['tp'] for row in record['images']) > 0, 'scores without any hit would hide mistakes'
    assert score_scans([folder / LAST], tmp_path / 'out', options)['images'] == record['images']
    # Of the average alone: weights of the last step score otherwise.
    content = read_checkpoint(folder / LAST)
    last = {name.removeprefix('module.'): tensor for name, tensor in content['ema_state_dict'].items() if 'module.' in name}
    torch.save({'state_dict': last}, tmp_path / 'last.pth')
    assert score_scans([tmp_path / 'last.pth'], tmp_path / 'last', options)['images'] != record['images']


def test_an_interrupted_run_ends_with_the_same_average(averaged, options, tmp_path):
    train_scans(tmp_path, {**options, 'train_cfg.max_iters': 5})
    record = train_scans(tmp_path, options, resume=True)
    assert (record['images'], record['history']) == (averaged[1]['images'], averaged[1]['history'])
    whole, resumed = (read_checkpoint(folder / LAST) for folder in (averaged[0], tmp_path))
    for key in ('state_dict', 'ema_state_dict'):
        assert whole[key].keys() == resumed[key].keys()
        assert all(torch.equal(whole[key][name], resumed[key][name]) for name in whole[key]), key


@pytest.mark.parametrize('key', ['state_dict', 'ema_state_dict'])
def test_a_resume_needs_the_average_and_the_weights_whole(averaged, options, tmp_path, key):
    content = torch.load(averaged[0] / LAST, weights_only=True)
    name = next(name for name in content[key] if name.endswith('conv_seg.weight'))
    for value, said in ((torch.zeros(1), f'{key}.{name} is of another kind'), ({}, f'{key}.{name} is of another kind')):
        torch.save({**content, key: {**content[key], name: value}}, tmp_path / LAST)
        with pytest.raises(InputError, match=said):
            train_scans(tmp_path, options, resume=True)
