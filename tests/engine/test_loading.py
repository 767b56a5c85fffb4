"""How batches reach a training: workers, shared memory, waiting."""

import logging
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch.utils.data import DataLoader, get_worker_info

from octfluid.datasets.fluid_dataset import FluidDataset
from octfluid.engine import performance
from octfluid.engine.config import load_config
from octfluid.engine.performance import FeedingRunner, PerformanceHook, feed
from octfluid.utils.errors import WorkError

ROOT = Path(__file__).parents[2]
TWO = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
SHORT = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2}


class Noise:
    """Four samples of a million bytes."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.from_numpy(np.random.randint(0, 256, 10**6, dtype=np.uint8))


@pytest.mark.parametrize(('cores', 'workers'), [(1, 2), (6, 3), (16, 8), (96, 8)])
def test_workers_follow_the_cores_unless_they_are_set(monkeypatch, cores, workers):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(cores)), raising=False)
    for name in ('table2/10_crop320_wd1e-4', 'hrf/fcn'):
        cfg = load_config(ROOT / f'configs/{name}.py', {'val_dataloader.num_workers': 5})
        loaders = [cfg[f'{part}_dataloader'] for part in ('train', 'val', 'test')]
        assert [loader.num_workers for loader in loaders] == [workers, 5, 5]
        assert all(loader.persistent_workers for loader in loaders)


# In flight are 2 batches of 2 MB a worker, and one; they may take half.
@pytest.mark.parametrize('processes', [1, 3])
@pytest.mark.parametrize(('free', 'workers', 'timeout'), [
    (40e6, 4, 7), (35e6, 3, 0), (21e6, 2, 0), (13e6, 1, 7), (11e6, 0, 7), (0, 0, 0),
])  # fmt: skip
def test_no_more_workers_than_shared_memory_has_room_for(monkeypatch, free, workers, timeout, processes):
    monkeypatch.setattr(performance, 'get_world_size', lambda: processes)
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=processes * int(free)))
    monkeypatch.setattr(performance, 'SHARED_MEMORY', Path('/'))
    loader = DataLoader(Noise(), batch_size=2, num_workers=4, persistent_workers=True, timeout=timeout)
    before = np.random.get_state()[1].tolist()
    feed(loader)
    assert (loader.num_workers, np.random.get_state()[1].tolist()) == (workers, before)
    assert loader.timeout == (timeout or 600 if workers else 0) and loader.pin_memory == torch.cuda.is_available()
    if workers < 2:
        assert [len(batch) for batch in loader] == [2, 2]


def test_no_workers_in_a_config_of_its_own():
    sampler = dict(type='DefaultSampler', shuffle=False)
    settings = dict(dataset=Noise(), batch_size=2, num_workers=0, persistent_workers=True, sampler=sampler)
    assert [len(batch) for batch in FeedingRunner.build_dataloader(settings)] == [2, 2]


def test_a_lost_batch_ends_the_run_in_one_line(run, tmp_path, monkeypatch):
    def lose(self, item):
        time.sleep(60 if get_worker_info() else 0)
        return given(self, item)

    given = FluidDataset.__getitem__
    monkeypatch.setattr(FluidDataset, '__getitem__', lose)
    monkeypatch.setattr(performance, 'SECONDS_FOR_A_BATCH', 1)
    with pytest.raises(WorkError, match=r'phantom\.py.*timed out.*num_workers'):
        run(tmp_path, {**TWO, **SHORT})


@pytest.mark.parametrize(('waiting', 'warned'), [(0.1, False), (0.3, True)])
def test_it_is_said_when_data_are_the_limit(waiting, warned, caplog):
    hook, hub, loader = PerformanceHook(), MessageHub(f'limit {waiting}'), SimpleNamespace(num_workers=3)
    runner = SimpleNamespace(message_hub=hub, logger=logging.getLogger('limit'), train_dataloader=loader)
    for step in range(200):
        hub.update_scalar('train/data_time', waiting if step else 100.0)  # workers start
        hub.update_scalar('train/time', 1.0 if step else 100.0)
        hook.after_train_iter(runner, step)
    assert [record.getMessage().count('30%') for record in caplog.records] == [1] * warned
