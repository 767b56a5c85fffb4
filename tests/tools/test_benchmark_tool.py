import statistics

import pytest

from octfluid.reporting.speed import build, read_benchmarks


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
