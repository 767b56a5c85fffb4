from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import PARAM_SCHEDULERS

from octfluid.engine.config import load_config

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def test_learning_rate_of_table_2_hardly_falls():
    cfg = load_config(CONFIGS / 'table2/02_iters400.py')
    init_default_scope(cfg.default_scope)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    scheduler = PARAM_SCHEDULERS.build(dict(cfg.param_scheduler[0], optimizer=optimizer))
    for _ in range(400):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]['lr'] == pytest.approx((0.01 - 1e-4) * (1 - 400 / 40_000) ** 0.9 + 1e-4, rel=1e-6)
    assert optimizer.param_groups[0]['lr'] == pytest.approx(0.0099, abs=5e-5)


def test_learning_rate_of_the_recipe_warms_up_and_ends_at_0():
    cfg = load_config(CONFIGS / 'duke_dme/compact.py')
    init_default_scope(cfg.default_scope)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [PARAM_SCHEDULERS.build(dict(scheduler, optimizer=optimizer)) for scheduler in cfg.param_scheduler]
    rates = []
    for _ in range(cfg.train_cfg.max_iters):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    highest = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.02 * 2e-3) and 40 <= highest <= 60 and 0.0018 < max(rates) < 0.002
    assert rates[highest:] == sorted(rates[highest:], reverse=True) and rates[-1] < 1e-5
