import copy
import json

import pytest
from speed_page import cells, put

from octfluid.reporting.speed import build, read_benchmarks, render
from octfluid.reporting.speed_turns import limit
from octfluid.utils.errors import InputError


def numbers(ratio, **changes):
    found = dict(ratio_median=ratio, ratio_min=ratio - 0.5, ratio_max=ratio + 0.25, per_second=12.345 * ratio,
                 share_of_matrix_rate=None, share_waiting=None)  # fmt: skip
    return {**found, **changes}


def record(kind='infer', **changes):
    content = dict(
        schema='octfluid.benchmark/1', kind=kind, config='configs/table2/10.py', device='a CPU', overrides={'split': 'other'},
        settings=dict(unit='scan', repeats=3, threads=2, device='a GPU'), rates={'fp32': 1e12},
        contenders={'stock': dict(peak_bytes=2_000_000_000, turns=[]), 'ours': dict(peak_bytes=1_500_000_000, turns=[])},
        summary={
            'stock': numbers(1.0, mask_difference=0.0, largest_difference=0.0),
            'ours': numbers(3.0, share_of_matrix_rate=0.456, share_waiting=0.0123, mask_difference=0.0005, marked=0.021,
                            largest_difference=2e-3),
        },
    )  # fmt: skip
    return copy.deepcopy(content | changes)


def test_the_page_by_hand(tmp_path):
    page = render(build(read_benchmarks(put(tmp_path, record(), 'infer_10.json'))))
    stock, ours = cells(page, 'Scoring the validation scans')
    assert ours == [
        '[`configs/table2/10.py`](benchmarks/infer_10.json), `split="other"`', 'ours', '3.00 (2.50 to 3.25)', '37 scans',
        '46 %', '1.2 %', '0.0500 % (marked 2.10 %), 2.0e-03', '1500 MB', '3 turns, 2 threads, a GPU',
    ]  # fmt: skip
    assert stock[2] == '1.00 (0.50 to 1.25)' and stock[4:7] == ['-', '-', '0.0000 %, 0.0e+00']
    for section in ('Training', 'One B-scan of 496x768 pixels', 'Training samples'):
        assert cells(page, section)[0][0] == 'pending'


def test_kinds_stand_in_their_order_and_single_turns_are_left_out(tmp_path):
    for kind in ('scan', 'train', 'infer'):
        put(tmp_path, record(kind), f'{kind}_10.json')
    turns = build(read_benchmarks(tmp_path))['turns']
    assert [found['kind'] for found in turns] == ['train', 'infer', 'scan']
    assert 'turns' not in json.dumps(turns)


@pytest.mark.parametrize(('path', 'value', 'message'), [
    (['contenders'], None, 'field contenders: expected an object'),
    (['settings', 'unit'], 3, r'field settings\.unit: expected a text'),
    (['settings', 'threads'], -1, r'field settings\.threads: expected a finite number'),
    (['contenders', 'ours'], None, r'field contenders\.ours\.peak_bytes: expected a number of bytes'),
    (['summary', 'ours', 'ratio_min'], None, r'field summary\.ours\.ratio_min: expected a finite number'),
    (['summary', 'ours', 'share_waiting'], 'long', r'field summary\.ours\.share_waiting: expected a finite number'),
    (['summary', 'ours', 'ratio_min'], 10**400, r'field summary\.ours\.ratio_min: expected a finite number'),
    (['summary', 'ours', 'largest_difference'], None, r'field summary\.ours\.largest_difference: expected a finite number'),
    (['rates'], 'fast', 'field rates: expected an object of numbers, or null'),
    (['rates'], {'fp32': 'fast'}, 'field rates: expected an object of numbers, or null'),
])  # fmt: skip
def test_a_wrong_field_is_named(tmp_path, path, value, message):
    target = content = record()
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(InputError, match=rf'infer_10\.json: {message}'):
        read_benchmarks(put(tmp_path, content, 'infer_10.json'))


def test_shares_may_be_missing_and_a_rate_be_nothing(tmp_path):
    content = record(rates={'fp32': 2e12, '16 bits': 8e12})
    content['summary']['stock'].update(per_second=0, share_of_matrix_rate=0.5)
    del content['summary']['ours']['share_of_matrix_rate'], content['summary']['ours']['share_waiting']
    page = render(build(read_benchmarks(put(tmp_path, content, 'infer_10.json'))))
    assert [line[4:6] for line in cells(page, 'Scoring the validation scans') if line[1] == 'ours'] == [['-', '-']]
    assert cells(page, 'What bounds it')[0][0] == 'pending'


def test_what_bounds_it_by_hand(tmp_path):
    content = record(
        'train', rates={'fp32': 2e12, '16 bits': 8e12}, settings=dict(unit='iteration', repeats=3, threads=2, device='d')
    )
    content['summary'] = {
        'stock': numbers(1.0, per_second=2.0, share_of_matrix_rate=0.5, share_waiting=0.09),
        'octfluid, mixed precision': numbers(4.0, per_second=8.0, share_of_matrix_rate=0.8, share_waiting=0.0),
        'peer': numbers(1.0),
    }
    content['contenders'] = {name: dict(peak_bytes=1, turns=[]) for name in content['summary']}
    lines = cells(render(build(read_benchmarks(put(tmp_path, content, 'train_10.json')))), 'What bounds it')
    where = '[`configs/table2/10.py`](benchmarks/train_10.json), training'
    assert lines == [
        [where, 'stock', '0.5 per iteration', '1', '2', '50 %', 'memory and overhead'],
        [where, 'octfluid, mixed precision', '0.8 per iteration', '6.4', '8', '80 %', 'arithmetic'],
    ]


def test_waiting_for_data_bounds_it_whatever_else():
    assert [limit(share, waiting) for share, waiting in ((0.9, 0.1), (0.9, None), (0.79, 0.0))] == [
        'data', 'arithmetic', 'memory and overhead',
    ]  # fmt: skip
