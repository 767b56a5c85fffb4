import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from speed_page import cells, put

from octfluid.datasets.prepare.hrf import prepare
from octfluid.records.record import write_record
from octfluid.reporting.speed import build, read_benchmarks, render
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make_benchmark():
    """A published benchmark's content, as far as the page needs it; keyword arguments replace fields."""
    content = dict(
        schema='octfluid.benchmark/1', kind='data', config='configs/hrf/pspnet.py', device='a CPU',
        overrides={'train_dataloader.num_workers': 4}, settings=dict(samples=30, repeats=7, workers=4, scans=15),
        memory=dict(decoded_bytes=490_000_000, peak_rss_bytes=1_200_900_000, pss_bytes=1_300_000_000),
        summary=dict(ratio_median=25.12, ratio_min=24.0, ratio_max=26.0, stock_samples_per_second=2.0,
                     fast_samples_per_second=50.2, largest_difference=1, masks_equal=True),
    )  # fmt: skip
    return lambda **changes: copy.deepcopy(content | changes)


def test_the_page_by_hand(make_benchmark, tmp_path):
    ((config, ratio, fast, stock, same, decoded, one, all_of_them, repetitions, device),) = cells(
        render(build(read_benchmarks(put(tmp_path, make_benchmark()))))
    )
    assert config == '[`configs/hrf/pspnet.py`](benchmarks/data_pspnet.json), `train_dataloader.num_workers=4`'
    assert (ratio, fast, stock) == ('25.1 (24.0 to 26.0)', '50.2', '2.00')
    assert same == 'masks equal, images within 1 levels'
    assert (decoded, one, all_of_them) == ('490 MB for 15 scans', '1201 MB', '1300 MB with 4')
    assert (repetitions, device) == ('7 x 30', 'a CPU')


def test_without_benchmarks_the_page_is_pending(tmp_path):
    assert read_benchmarks(tmp_path / 'none') == []
    assert cells(render(build([]))) == [['pending', *['-'] * 9]]


def test_several_stand_by_name_whatever_the_order(make_benchmark, tmp_path):
    put(tmp_path, make_benchmark(), 'data_pspnet.json')
    found = read_benchmarks(put(tmp_path, make_benchmark(config='configs/hrf/fcn.py'), 'data_fcn.json'))
    assert [line['file'] for line in build(found[::-1])['data']] == ['data_fcn.json', 'data_pspnet.json']


def test_what_is_unequal_or_unknown_is_said(make_benchmark, tmp_path):
    content = make_benchmark()
    content['summary']['masks_equal'], content['memory']['pss_bytes'] = False, None
    (line,) = cells(render(build(read_benchmarks(put(tmp_path, content)))))
    assert line[4].startswith('masks DIFFERENT') and line[7] == '- with 4'


@pytest.mark.parametrize(('path', 'value', 'message'), [
    (['schema'], 'octfluid.run/1', 'not a benchmark'),
    (['kind'], 'speed', 'field kind: expected "data" or "growth" or "launch" or "train" or "infer" or "scan"'),
    (['device'], None, 'field device: expected a text'),
    (['summary'], None, 'field summary: expected an object'),
    (['summary', 'ratio_median'], float('nan'), r'JSON that octfluid does not write \(NaN is no number\)'),
    (['summary', 'ratio_median'], 10**400, 'field summary.ratio_median: expected a finite number'),
    (['summary', 'masks_equal'], 1, 'field summary.masks_equal: expected true or false'),
    (['memory', 'pss_bytes'], 'much', 'field memory.pss_bytes: expected a number of bytes or null'),
    (['memory', 'pss_bytes'], 10**400, 'field memory.pss_bytes: expected a number of bytes or null'),
    (['device'], 'one\n# two', 'field device: expected a text'),
])  # fmt: skip
def test_a_wrong_field_is_named(make_benchmark, tmp_path, path, value, message):
    target = content = make_benchmark()
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(InputError, match=rf'data_pspnet\.json: {message}'):
        read_benchmarks(put(tmp_path, content))


def test_a_missing_field_is_named(make_benchmark, tmp_path):
    content = make_benchmark()
    del content['memory']['pss_bytes']
    with pytest.raises(InputError, match=r'data_pspnet\.json: field memory\.pss_bytes: expected a number of bytes or null'):
        read_benchmarks(put(tmp_path, content))


def test_broken_json_is_one_line(tmp_path):
    (tmp_path / 'data_pspnet.json').write_text('{')
    with pytest.raises(InputError, match=r'data_pspnet\.json: broken JSON'):
        read_benchmarks(tmp_path)


def test_the_report_reads_the_folder_beside_its_pages(make_benchmark, make_record, tmp_path):
    write_record(make_record(), tmp_path / 'r.json')
    (tmp_path / 'out').mkdir()
    folder = put(tmp_path / 'out/benchmarks', make_benchmark())
    command = [sys.executable, ROOT / 'tools/report.py', tmp_path / 'r.json', '--out', tmp_path / 'out']
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '') and done.stdout.startswith('1 run records read, 1 benchmarks\n')
    assert '| 25.1 (24.0 to 26.0) |' in (tmp_path / 'out/speed.md').read_text()
    assert json.loads((tmp_path / 'out/results.json').read_text())['speed']['data'][0]['summary']['ratio_median'] == 25.12
    put(folder, {'schema': 'octfluid.run/1'})
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count('\n')) == (2, 1) and 'data_pspnet.json: not a benchmark' in done.stderr


def test_what_the_tool_writes_is_read(tmp_path, write_hrf):
    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')
    step = 'train_dataloader.dataset.pipeline'
    options = [f'data_root={tmp_path}/hrf', f'{step}.2.scale=(64,96)', f'{step}.3.crop_size=(32,32)']
    command = [sys.executable, ROOT / 'tools/benchmark.py', 'data', '--samples', '1', '--repeats', '1']
    command += ['--out', tmp_path / 'out', '--cfg-options', *options, 'train_dataloader.num_workers=1']
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    built = build(read_benchmarks(tmp_path / 'out'))
    (found,) = built['data']
    assert found['summary']['masks_equal'] is True and found['settings']['scans'] == 3
    assert 'masks equal' in render(built)


def growth_record(**volume):
    volumes = [dict(scans=50, seconds=5.0, peak_bytes=300e6), dict(scans=1000, seconds=120.0, peak_bytes=310e6, **volume)]
    return dict(schema='octfluid.benchmark/1', kind='growth', config='c.py', overrides={}, device='a CPU',
                settings=dict(model='m.onnx'), volumes=volumes)  # fmt: skip


def test_growth_by_hand(tmp_path):
    page = render(build(read_benchmarks(put(tmp_path, growth_record(), 'growth_c.json'))))
    assert cells(page, 'Growth with the length of a volume') == [
        ['[`m.onnx`](benchmarks/growth_c.json)', '50', '5.0', '0.100', '300 MB', 'a CPU'],
        ['[`m.onnx`](benchmarks/growth_c.json)', '1000', '120.0', '0.120', '310 MB', 'a CPU'],
    ]


@pytest.mark.parametrize(('volumes', 'field'), [
    ([], 'volumes'), ([dict(scans=5, seconds=0, peak_bytes=1)], r'volumes\[0\]\.seconds'), ([7], r'volumes\[0\]\.scans'),
    ([dict(scans=10**400, seconds=1, peak_bytes=1)], r'volumes\[0\]\.scans'),
])  # fmt: skip
def test_growth_that_is_wrong_is_named(tmp_path, volumes, field):
    with pytest.raises(InputError, match=f'growth_c.json: field {field}: expected'):
        read_benchmarks(put(tmp_path, {**growth_record(), 'volumes': volumes}, 'growth_c.json'))


def test_growth_is_drawn_where_there_are_several_lengths(tmp_path, make_record):
    write_record(make_record(), tmp_path / 'r.json')
    (tmp_path / 'out').mkdir()
    command = [sys.executable, ROOT / 'tools/report.py', tmp_path / 'r.json', '--out', tmp_path / 'out']
    figure = tmp_path / 'out/figures/growth.png'
    content = growth_record()
    for volumes, drawn in ((content['volumes'], True), (content['volumes'][:1], False)):
        put(tmp_path / 'out/benchmarks', {**content, 'volumes': volumes}, 'growth_c.json')
        subprocess.run(command, check=True, capture_output=True)
        assert figure.exists() is drawn
        assert ('(figures/growth.png)' in (tmp_path / 'out/speed.md').read_text()) is drawn


def launch_record(commands):
    return dict(schema='octfluid.benchmark/1', kind='launch', config='c.py', overrides={}, device='a CPU',
                settings=dict(repeats=3), commands=commands)  # fmt: skip


def test_launch_by_hand(tmp_path):
    folder = put(tmp_path, launch_record({'train.py c.py': [7.0, 5.25, 6.5], 'test.py --help': [0.1]}), 'launch_c.json')
    assert cells(render(build(read_benchmarks(folder))), 'From the command to its beginning') == [
        ['[`train.py c.py`](benchmarks/launch_c.json)', '6.50 (5.25 to 7.00)', '3', 'a CPU'],
        ['[`test.py --help`](benchmarks/launch_c.json)', '0.10 (0.10 to 0.10)', '1', 'a CPU'],
    ]


@pytest.mark.parametrize(('commands', 'field'), [
    ({}, 'commands'), ({'a': []}, 'commands.a'), ({'a': [0.0]}, 'commands.a'), ({'a': 'long'}, 'commands.a'),
])  # fmt: skip
def test_launch_that_is_wrong_is_named(tmp_path, commands, field):
    with pytest.raises(InputError, match=f'launch_c.json: field {field}: expected'):
        read_benchmarks(put(tmp_path, launch_record(commands), 'launch_c.json'))
