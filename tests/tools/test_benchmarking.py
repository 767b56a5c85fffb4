import functools
import json
import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from octfluid.engine.config import load_config
from octfluid.reporting.speed import read_benchmarks
from octfluid.utils.errors import InputError, WorkError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tools/analysis_tools'))
import benchmarking as benchmark  # noqa: E402
from benchmarking import benchmark_record, ratios, take_turns  # noqa: E402

CONFIG = str(ROOT / 'configs/smoke/phantom.py')


@pytest.fixture(autouse=True)
def start_method_as_before():
    before = multiprocessing.get_start_method()
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture
def options(tiny_options):
    loaders = {f'{loader}_dataloader.persistent_workers': False for loader in ('train', 'val')}
    return {key: value for key, value in tiny_options.items() if not key.startswith('train_cfg')} | loaders


def writing(path, name):
    """Multiply, and note each turn, and its process, in a file."""

    def turn():
        with open(path, 'a') as file:
            file.write(f'{name}{os.getpid()}\n')
        torch.ones(2, 3) @ torch.ones(3, 5)
        return dict(seconds=2.0, waited=0.5)

    return turn


def raising(error):
    def turn():
        raise error

    return turn


def leaving():
    return functools.partial(os._exit, 7)


@pytest.fixture
def forked(monkeypatch):
    """Fork contenders, which import nothing then; spawned ones are in tests/tools/test_benchmark_tool.py."""
    fork = multiprocessing.get_context('fork')
    monkeypatch.setattr(benchmark.multiprocessing, 'get_context', lambda _: fork)


def test_contenders_take_turns_each_in_its_process(forked, tmp_path):
    racing = {name: functools.partial(writing, str(tmp_path / 'turns'), name) for name in ('a', 'b')}
    found = take_turns(racing, 3)
    lines = (tmp_path / 'turns').read_text().split()
    # One round that is not measured, then each round begun by another.
    assert ''.join(line[0] for line in lines) == 'ab' + 'ab' + 'ba' + 'ab'
    assert len(set(lines)) == 2 and str(os.getpid()) not in ''.join(lines)
    assert found['a']['turns'] == [dict(seconds=2.0, waited=0.5)] * 3 and found['b']['peak_bytes'] > 10**7
    assert found['a']['operations'] == 2 * 2 * 3 * 5


@pytest.mark.parametrize(('contender', 'error', 'named'), [
    (functools.partial(raising, InputError('no such data')), InputError, '^no such data$'),
    (functools.partial(raising, RuntimeError('no memory')), WorkError, '^b: RuntimeError: no memory$'),
    (leaving, WorkError, '^b: BrokenProcessPool'),
], ids=['input', 'step', 'death'])  # fmt: skip
def test_failures_are_one_line(forked, contender, error, named):
    with pytest.raises(error, match=named):
        take_turns({'b': contender}, 1)


def test_cuda_graphs_that_fail_are_left_out(forked, tmp_path, capsys):
    racing = {'a': functools.partial(writing, str(tmp_path / 'turns'), 'a'),
              benchmark.GRAPHS: functools.partial(raising, RuntimeError('no graph'))}  # fmt: skip
    assert [len(one['turns']) for one in take_turns(racing, 2).values()] == [2]
    assert 'no graph' in capsys.readouterr().err


def test_share_of_the_matrix_rate_by_hand(monkeypatch):
    times = iter([0, 9, 10, 12, 20, 24, 30, 36])  # the first, 9 s, does not count
    monkeypatch.setattr(benchmark.time, 'perf_counter', lambda: next(times))
    assert benchmark.matrix_rate(torch.float32, size=10, repeats=3) == 2 * 10**3 / 4
    turns = [dict(seconds=seconds) for seconds in (1.0, 2.0, 3.0)]
    found = {benchmark.STOCK: dict(turns=turns, operations=3e12, matrix_rate=6e12)}
    assert benchmark._fields({}, found, 4)['summary'][benchmark.STOCK]['share_of_matrix_rate'] == 0.25


@pytest.mark.parametrize(('contender', 'wanted'), [('stock', False), ('ours', False), ('monai', False), ('monai', True)])
def test_cudnn_is_used_alike_by_all(options, contender, wanted, monkeypatch):
    options = {**options, 'env_cfg.cudnn_benchmark': wanted, 'default_hooks.performance.tf32': wanted}
    nets = SimpleNamespace(BasicUNet=lambda *_, **__: torch.nn.Conv2d(3, 2, 1))
    monkeypatch.setitem(sys.modules, 'monai.networks.nets', nets)
    for flag in ('benchmark', 'allow_tf32'):
        monkeypatch.setattr(torch.backends.cudnn, flag, not wanted)
    if contender == 'monai':
        benchmark.monai_training(CONFIG, options, 1, size=(8, 8))
    else:
        benchmark.training(CONFIG, options, 1, stock=contender == 'stock')
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32) == (wanted, wanted)


def test_ratios_are_those_of_pairs():
    # On a machine that slows down to a tenth half-way, the ratio of each pair is still 4, or 5.
    assert ratios([4.0, 50.0, 40.0], [1.0, 10.0, 10.0]) == dict(ratio_median=4.0, ratio_min=4.0, ratio_max=5.0)


@pytest.mark.parametrize('how', [dict(stock=True), dict(amp=True), dict(amp=True, graphs=True)])
def test_training_takes_as_many_steps_as_asked(options, how, monkeypatch):
    steps, compiled = [], []
    monkeypatch.setattr(torch, 'compile', lambda step, **how: compiled.append(how) or step)
    run_iter = benchmark.SteppedTrainLoop.run_iter
    monkeypatch.setattr(benchmark.SteppedTrainLoop, 'run_iter', lambda self, batch: steps.append(run_iter(self, batch)))
    turn = benchmark.training(CONFIG, options, 3, **how)
    assert steps == [] and compiled == ([dict(mode='reduce-overhead')] if 'graphs' in how else [])
    for turns in (1, 2):
        found = turn()
        assert len(steps) == 3 * turns
        assert 0 < found['waited'] < found['seconds']


def test_scoring_gives_stock_masks_from_the_same_weights(options, tmp_path):
    network = benchmark.build_network(load_config(CONFIG, options))
    torch.save(network.state_dict(), tmp_path / 'w.pth')
    kept = []
    for name, how in (('stock', dict(stock=True)), ('fp32', {}), ('mixed', dict(amp=True))):
        turn = benchmark.scoring(CONFIG, options, str(tmp_path / 'w.pth'), str(tmp_path / f'{name}.npz'), **how)
        assert turn()['seconds'] > 0 and turn()['seconds'] > 0
        kept.append(dict(np.load(tmp_path / f'{name}.npz')))
    assert kept[0].keys() == kept[1].keys() == {f's03_z0{number}' for number in range(4)}
    same = benchmark.difference(kept[0], kept[1])
    assert same['largest_difference'] < 1e-4 and same['mask_difference'] <= 1e-4
    assert 0 < benchmark.difference(kept[0], kept[2])['largest_difference'] < 0.02


def test_the_report_reads_a_record_which_names_no_place(tmp_path):
    record = benchmark_record('data', CONFIG, {'data_root': str(tmp_path), 'split': 'other'}, {})
    (tmp_path / 'x.json').write_text(json.dumps(record))
    assert read_benchmarks(tmp_path) == {'x.json': record}
    assert not any(str(place) in json.dumps(record) for place in (ROOT, tmp_path))
