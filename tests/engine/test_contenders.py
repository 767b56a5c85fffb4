import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from octfluid.engine import benchmark_turns, contenders
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError

CONFIG = str(Path(__file__).resolve().parents[2] / 'configs/smoke/phantom.py')


@pytest.fixture(autouse=True)
def start_method_as_before():
    before = multiprocessing.get_start_method()
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture
def options(phantoms):
    return {
        'data_root': str(phantoms),
        'train_dataloader.dataset.scan_size': (64, 64), 'val_dataloader.dataset.scan_size': (64, 64),
        'train_dataloader.dataset.pipeline.2.crop_size': (48, 48), 'train_dataloader.num_workers': 0,
        'val_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
        'val_dataloader.persistent_workers': False,
    }  # fmt: skip


@pytest.mark.parametrize('how', [dict(stock=True), {}, dict(amp=True)], ids=['stock', 'fp32', 'mixed'])
def test_training_takes_as_many_steps_as_asked(options, how, monkeypatch):
    steps = []
    run_iter = contenders.SteppedTrainLoop.run_iter
    monkeypatch.setattr(contenders.SteppedTrainLoop, 'run_iter', lambda self, batch: steps.append(run_iter(self, batch)))
    turn = contenders.training(CONFIG, options, 3, **how)
    assert steps == []
    for turns in (1, 2):
        found = turn()
        assert len(steps) == 3 * turns
        assert 0 < found['waited'] < found['seconds']


def test_stock_brings_nothing_of_ours_that_is_fast(options):
    cfg = load_config(CONFIG, options)
    contenders.stock_config(cfg)
    assert cfg.train_dataloader.sampler.type == 'InfiniteSampler'
    assert cfg.train_dataloader.dataset.cache_bytes == cfg.val_dataloader.dataset.cache_bytes == 0
    assert 'fused' not in cfg.optim_wrapper.optimizer
    assert (cfg.channels_last, cfg.reuse_memory, cfg.window_batch, cfg.custom_hooks) == (False, False, None, [])
    assert cfg.test_evaluator.type == IoUMetric.__name__


def test_scoring_gives_stock_masks_from_the_same_weights(options, tmp_path):
    weights = contenders.random_weights(CONFIG, options, str(tmp_path / 'w.pth'), None)
    kept = []
    for name, how in (('stock', dict(stock=True)), ('fp32', {}), ('mixed', dict(amp=True))):
        turn = contenders.scoring(CONFIG, options, weights, str(tmp_path / f'{name}.npz'), **how)
        assert turn()['seconds'] > 0 and turn()['seconds'] > 0
        kept.append(dict(np.load(tmp_path / f'{name}.npz')))
    assert kept[0].keys() == kept[1].keys() == {f's03_z0{number}' for number in range(4)}
    same = benchmark_turns._difference(kept[0], kept[1])
    assert same['largest_difference'] < 1e-4 and same['mask_difference'] <= 1e-4
    assert 0 < benchmark_turns._difference(kept[0], kept[2])['largest_difference'] < 0.02


def test_differences_by_hand():
    reference = dict(one=np.array([[0.2, 0.6], [0.4, 0.9]]), two=np.array([[0.1]]))
    other = dict(one=np.array([[0.2, 0.4], [0.4, 0.9]]), two=np.array([[0.7]]))
    found = benchmark_turns._difference(reference, other)
    assert found['largest_difference'] == pytest.approx(0.6) and found['mask_difference'] == 2 / 5


def test_weights_of_another_network_are_refused(options, tmp_path):
    torch.save({'state_dict': {'one': torch.zeros(3)}}, tmp_path / 'other.pth')
    with pytest.raises(InputError, match=r'other\.pth'):
        contenders.random_weights(CONFIG, options, str(tmp_path / 'w.pth'), str(tmp_path / 'other.pth'))


def test_matrix_rate_by_hand(monkeypatch):
    clock = iter(range(0, 1000, 2))
    monkeypatch.setattr(benchmark_turns, 'time', SimpleNamespace(perf_counter=lambda: next(clock)))
    # Two seconds for 10 x 10 x 10 multiplications and as many additions.
    assert benchmark_turns.matrix_rate(torch.float32, size=10, repeats=3) == 2 * 10**3 / 2


def test_window_of_training(options):
    assert benchmark_turns._window_of_training(load_config(CONFIG, options)) == (48, 48)


def test_one_scan_is_of_the_network_that_the_overrides_ask_for(options):
    with pytest.raises(InputError, match='no_such'):
        contenders.whole_scan((64, 64), CONFIG, {'model.backbone.no_such': 1})
