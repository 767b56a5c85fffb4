"""A real checkpoint, changed entry by entry: resume, test, publication and export refuse it in one line, or do without."""

import random

import pytest
import torch
from checkpoint_changes import changes
from engine.conftest import hurry, on_cpu  # noqa: F401  fixtures
from engine.tiny_scans import CONFIG, scan_options, score_scans, train_scans
from faults.ledger import budget, note

from octfluid.engine import export as exports
from octfluid.engine.checkpoint import read_checkpoint
from octfluid.engine.config import load_config
from octfluid.engine.publish import publish
from octfluid.utils.errors import OctfluidError, WorkError

FIRST = 'iter_2.pth'
NETWORK = 'model = dict(backbone=dict(channels=(4, 8)), decode_head=dict(in_channels=4, channels=4), auxiliary_head=None)'


@pytest.fixture(scope='module')
def options(phantoms):
    best = {
        f'default_hooks.checkpoint.{key}': value for key, value in dict(interval=2, save_best='aAcc', rule='greater').items()
    }
    few = {'train_cfg.val_interval': 2, 'train_cfg.max_iters': 2, 'split': 'heldout-inner1'}
    return {**scan_options(phantoms), **best, **few}


@pytest.fixture
def uses(options, tmp_path, hurry, on_cpu, monkeypatch):  # noqa: F811
    """The original's content, and what is done with a checkpoint, each as a function of its path."""
    train_scans(tmp_path / 'whole', options)

    def stop(*_):
        raise WorkError('the exporter, which is slow, sees the network only')

    monkeypatch.setattr(exports, '_serialized', stop)
    cfg, small = load_config(CONFIG, options), tmp_path / 'small.py'
    small.write_text(f"_base_ = '{CONFIG}'\n{NETWORK}\n")
    return torch.load(tmp_path / 'whole' / FIRST, weights_only=True), {
        'resume': lambda path: train_scans(path.parent, {**options, 'train_cfg.max_iters': 3}, resume=True),
        'test': lambda path: score_scans([path], path.parent / 'out', options),
        'publish': lambda path: publish(path, path.parent / 'made', config=str(small)),
        'export': lambda path: exports.export(cfg, path, path.parent / 'm.onnx'),
    }


def outcome(use, path):
    """Return 'done', 'refused', or what went wrong."""
    try:
        use(path)
    except OctfluidError as error:
        return 'refused' if '\n' not in str(error) else f'many lines: {error}'
    except BaseException as error:
        return f'{type(error).__name__}: {error}'
    return 'done'


def test_no_changed_checkpoint_ends_in_a_traceback(uses, tmp_path):
    content, functions = uses
    made = random.Random(0).sample(list(changes(content)), budget(2000, 200))
    found, path, used = {}, tmp_path / 'x.pth', []
    for what, make in made:
        torch.save(make(), path)
        found[f'read: {what}'] = outcome(read_checkpoint, path)
        used += [(what, make)] if found[f'read: {what}'] == 'done' else []
    for number, (what, make) in enumerate(used[: budget(200, 6)]):
        for name, use in functions.items():
            folder = tmp_path / f'{number}{name}'
            folder.mkdir()
            torch.save(make(), folder / FIRST)
            found[f'{name}: {what}'] = outcome(use, folder / FIRST)
    wrong = {what: said for what, said in found.items() if said not in ('done', 'refused')}
    command = 'python -m pytest tests -m faults -k test_checkpoint_changes'
    done = sum(said == 'done' for said in found.values())
    note('fuzz', 'checkpoint: changed entries', len(found), len(found) - len(wrong), command, used_all_the_same=done)
    assert wrong == {}
    assert 0 < done < len(found)
