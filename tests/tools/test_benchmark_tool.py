import json
import statistics

import pytest

from octfluid.datasets.prepare.hrf import prepare
from octfluid.reporting.benchmarks import build, read_benchmarks

PIPELINE = 'train_dataloader.dataset.pipeline'


@pytest.mark.slow
def test_training_samples(run_tool, tmp_path, write_hrf):
    """Windows of three photographs of 64x96, with window_first and without."""
    prepare(write_hrf(tmp_path / 'raw'), tmp_path / 'hrf')
    options = ['--cfg-options', f'data_root={tmp_path}/hrf', f'{PIPELINE}.2.scale=(64,96)', f'{PIPELINE}.3.crop_size=(32,32)']
    status, _, err = run_tool('benchmark', 'data', '--samples', 4, '--repeats', 3, '--out', tmp_path / 'out', *options)
    assert (status, err) == (0, [])
    record = json.loads((tmp_path / 'out/data_pspnet.json').read_text())
    assert [record[key] for key in ('schema', 'kind', 'config')] == ['octfluid.benchmark/1', 'data', 'configs/hrf/pspnet.py']
    assert str(tmp_path) not in json.dumps(record)
    settings = dict(samples=4, repeats=3, seed=0, split='usual', scans=3, threads=1, workers=0)
    timings, memory, summary = (record[key] for key in ('timings', 'memory', 'summary'))
    assert record['settings'] == settings
    pairs = zip(timings['stock_seconds'], timings['fast_seconds'], strict=True)
    assert summary['ratio_median'] == pytest.approx(statistics.median(stock / fast for stock, fast in pairs))
    assert summary['masks_equal'] is True and summary['largest_difference'] <= 1
    assert memory['decoded_bytes'] == 3 * 64 * 96 * (3 + 1)
    (shown,) = build(read_benchmarks(tmp_path / 'out'))['data']
    assert shown['config'] == 'configs/hrf/pspnet.py'


@pytest.mark.slow
def test_scoring_by_turns(run_tool, tmp_path, phantoms):
    options = [f'data_root={phantoms}', 'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
               *(f'{part}_dataloader.dataset.scan_size=(64,64)' for part in ('train', 'val'))]  # fmt: skip
    arguments = ['configs/smoke/phantom.py', '--repeats', 2, '--out', tmp_path / 'out', '--cfg-options', *options]
    status, _, err = run_tool('benchmark', 'infer', *arguments)
    assert (status, err) == (0, [])
    ((name, found),) = read_benchmarks(tmp_path / 'out').items()
    assert name == 'infer_phantom.json' and found['settings']['scans'] == 4
    assert list(found['summary']) == ['stock', 'octfluid, fp32', 'octfluid, mixed precision']
    for name, one in found['summary'].items():
        turns = [turn['seconds'] for turn in found['contenders'][name]['turns']]
        assert len(turns) == 2 and one['per_second'] == pytest.approx(4 / statistics.median(turns))
    assert found['summary']['octfluid, fp32']['largest_difference'] < 1e-4
    (shown,) = build(read_benchmarks(tmp_path / 'out'))['infer']
    assert 'octfluid, fp32' in shown['peak_bytes']
