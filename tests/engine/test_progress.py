import io
import logging
import sys
from types import SimpleNamespace

import pytest

from octfluid.engine import hooks
from octfluid.engine.hooks import ProgressHook


class Terminal(io.StringIO):
    """Pretends to be one."""

    def isatty(self):
        """Say yes."""
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests move, for the hook and for rich."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(hooks.time, 'monotonic', lambda: now.seconds)
    monkeypatch.setattr('rich.console.monotonic', lambda: now.seconds)
    return now


@pytest.fixture
def runner():
    logger = logging.Logger('test')
    logger.lines = []
    logger.addFilter(lambda line: logger.lines.append(line.getMessage()))
    return SimpleNamespace(logger=logger, iter=0, max_iters=5, val_dataloader=range(4), test_dataloader=range(4))


@pytest.mark.parametrize('kind', ['val', 'test'])
def test_bar_of_slow_scoring_shows_the_time_left(monkeypatch, clock, runner, kind):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    hook = ProgressHook()
    getattr(hook, f'before_{kind}')(runner)
    bar = hook.bar
    for index in range(3):
        clock.seconds += 90
        getattr(hook, f'after_{kind}_iter')(runner, index)
    (task,) = bar.tasks
    assert (task.completed, task.total) == (3, 4)
    assert task.time_remaining == 90
    getattr(hook, f'after_{kind}')(runner)
    assert hook.bar is None and bar.finished
    assert runner.logger.lines == []


def test_scoring_within_a_training_has_a_bar_below(monkeypatch, clock, runner):
    monkeypatch.setattr(sys, 'stderr', Terminal())
    hook = ProgressHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)
    hook.before_val(runner)
    hook.after_val_iter(runner, 0)
    hook.after_val_iter(runner, 1)
    assert [(task.description, task.completed, task.total) for task in hook.bar.tasks] == [
        ('training', 1, 5),
        ('scoring', 2, 4),
    ]
    hook.after_val(runner)
    hook.after_train_iter(runner, 1)
    assert [(task.description, task.completed) for task in hook.bar.tasks] == [('training', 2)]
    hook.after_train(runner)
    assert hook.bar is None


@pytest.mark.parametrize('kind', ['val', 'test'])
def test_log_tells_the_time_left_of_slow_scoring(monkeypatch, clock, runner, kind):
    monkeypatch.setattr(sys, 'stderr', io.StringIO())
    hook = ProgressHook()
    getattr(hook, f'before_{kind}')(runner)
    for index in range(4):
        clock.seconds += 40
        getattr(hook, f'after_{kind}_iter')(runner, index)
    getattr(hook, f'after_{kind}')(runner)
    assert runner.logger.lines == ['scored 2 of 4, 0:01:20 left']
