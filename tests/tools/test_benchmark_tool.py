import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.datasets.hrf_prepare import prepare
from octfluid.reporting.benchmarks import build, page, read_benchmarks
from octfluid.reporting.pages import render_markdown

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools/benchmark.py'
PIPELINE = 'train_dataloader.dataset.pipeline'


def run(*arguments, cwd=ROOT):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


@pytest.fixture
def tiny(tmp_path, write_hrf):
    """Options for windows of three photographs of 64x96."""
    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')
    scale, crop = f'{PIPELINE}.2.scale=(64,96)', f'{PIPELINE}.3.crop_size=(32,32)'
    return ['--cfg-options', f'data_root={tmp_path}/hrf', scale, crop, 'train_dataloader.num_workers=2']


def test_data(tmp_path, tiny):
    done = run('data', '--samples', 4, '--repeats', 3, '--out', tmp_path / 'out', *tiny)
    assert (done.returncode, done.stderr) == (0, '')
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['data_pspnet.json']
    record = json.loads((tmp_path / 'out/data_pspnet.json').read_text())
    assert [record[key] for key in ('schema', 'kind', 'config')] == ['octfluid.benchmark/1', 'data', 'configs/hrf/pspnet.py']
    assert set(record) >= {'git', 'source_sha256', 'device', 'versions', 'settings', 'timings', 'memory', 'summary'}
    assert 'data_root' not in record['overrides']
    assert str(tmp_path) not in json.dumps(record)
    assert record['settings'] == dict(samples=4, repeats=3, seed=0, split='usual', scans=3, threads=1, workers=2)
    timings, memory, summary = (record[key] for key in ('timings', 'memory', 'summary'))
    ratios = [stock / fast for stock, fast in zip(timings['stock_seconds'], timings['fast_seconds'], strict=True)]
    assert len(ratios) == 3
    assert [summary[f'ratio_{name}'] for name in ('min', 'median', 'max')] == sorted(ratios)
    assert summary['stock_samples_per_second'] == pytest.approx(4 / statistics.median(timings['stock_seconds']))
    assert summary['masks_equal'] is True
    # Gray levels at the end of the pipeline, whose changes of colour can enlarge a difference of one.
    assert 0 <= summary['largest_difference'] <= 8
    assert next(iter(timings['stages']['fast'])) == 'WindowFirst'
    assert list(timings['stages']['stock'])[:4] == ['LoadImageFromFile', 'LoadAnnotations', 'RandomResize', 'RandomCrop']
    assert memory['decoded_bytes'] == 3 * 64 * 96 * 4
    # Workers that are forked hold more than nothing and less than as many processes of their own would.
    if sys.platform == 'linux':
        assert memory['decoded_bytes'] < memory['pss_bytes'] < 3 * memory['peak_rss_bytes']
    assert f'ratio: {summary["ratio_median"]:.1f} (' in done.stdout
    assert done.stdout.endswith(f'record: {tmp_path}/out/data_pspnet.json\n')


@pytest.mark.parametrize(('arguments', 'said'), [
    (['data', '--samples', '0'], '--samples 0: expected 1 or more'),
    (['train', '--iterations', '0'], '--iterations 0: expected 1 or more'),
    (['infer', 'configs/hrf/none.py'], 'no config file at configs/hrf/none.py'),
    (['growth', '--scans', '5', '0'], '--scans 5 0: expected 1 or more of each'),
    (['growth', '--model', 'none.onnx'], 'none.onnx: no such model file'),
    (['scan', '--model', 'none.onnx'], 'none.onnx: no such model file'),
    (['data', '--repeats', 'many'], "invalid int value: 'many'"),
    ([], 'the following arguments are required: KIND'),
    (['speed'], "invalid choice: 'speed'"),
    (['data', 'configs/hrf/none.py'], 'no config file at configs/hrf/none.py'),
    (['data', '--cfg-options', 'data_root=nowhere'], 'nowhere: no such data set'),
    (['data', '--cfg-options', 'train_dataloader.num_workers=-1'], 'num_workers is -1; expected a whole number'),
    (['data', '--out', 'README.md'], '--out README.md: README.md is a file'),
])  # fmt: skip
def test_bad_arguments(arguments, said):
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1)
    assert done.stderr.startswith('error: ')
    assert said in done.stderr


def test_pipeline_without_windows(tmp_path, phantoms):
    done = run('data', 'configs/smoke/phantom.py', '--out', tmp_path / 'out', '--cfg-options', f'data_root={phantoms}')
    assert (done.returncode, done.stderr.count('\n')) == (2, 1)
    assert 'trains with LoadImageFromFile, LoadAnnotations' in done.stderr and 'configs/hrf/pspnet.py' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_photograph_that_cannot_be_decoded(tmp_path, tiny):
    photograph = sorted((tmp_path / 'hrf/native/images').iterdir())[0]
    photograph.write_bytes(b'junk')
    done = run('data', '--out', tmp_path / 'out', *tiny)
    assert (done.returncode, done.stdout, done.stderr.count('\n')) == (2, '', 1), done.stderr
    assert f'{photograph}: cannot be decoded as an image' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_help_is_quick_and_has_an_example():
    for arguments in (['--help'], ['data', '--help']):
        done = run(*arguments)
        assert done.returncode == 0
        assert 'example:\n  python tools/benchmark.py data' in done.stdout
    code = f"import runpy, sys; sys.argv = ['x', 'data', '--help']; runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    probe = f'import atexit, sys; atexit.register(lambda: print("torch" in sys.modules)); {code}'
    assert subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True).stdout.endswith('False\n')


def test_scoring_by_turns(tmp_path, phantoms):
    options = [f'data_root={phantoms}', 'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
               *(f'{part}_dataloader.dataset.scan_size=(64,64)' for part in ('train', 'val'))]  # fmt: skip
    done = run('infer', 'configs/smoke/phantom.py', '--repeats', 2, '--out', tmp_path / 'out', '--cfg-options', *options)
    assert (done.returncode, done.stderr) == (0, '')
    ((name, found),) = read_benchmarks(tmp_path / 'out').items()
    assert name == 'infer_phantom.json' and found['settings']['scans'] == 4
    assert list(found['summary']) == ['stock', 'octfluid, fp32', 'octfluid, mixed precision']
    for name, one in found['summary'].items():
        turns = [turn['seconds'] for turn in found['contenders'][name]['turns']]
        assert len(turns) == 2 and one['per_second'] == pytest.approx(4 / statistics.median(turns))
    assert found['summary']['octfluid, fp32']['largest_difference'] < 1e-4
    assert f'record: {tmp_path}/out/infer_phantom.json' in done.stdout
    assert 'octfluid, fp32' in render_markdown(page(build(read_benchmarks(tmp_path / 'out')), []))


def test_growth(tmp_path):
    done = run('growth', '--scans', 1, 3, '--out', tmp_path / 'out')
    assert (done.returncode, done.stderr) == (0, '')
    found = json.loads((tmp_path / 'out/growth_compact.json').read_text())
    assert [one['scans'] for one in found['volumes']] == [1, 3]
    assert '\n3 B-scans: ' in f'\n{done.stdout}'
