from pathlib import Path

import pytest

pytest.importorskip('mmseg')
CONFIGS = Path(__file__).resolve().parents[2] / 'configs/table2'
ROW10 = CONFIGS / '10_crop320_wd1e-4.py'


@pytest.mark.parametrize('other', ['06_crop320.py', '10_crop320_wd1e-4.py'])
def test_what_differs_between_two_configs(run_tool, other):
    out = run_tool('analysis_tools/print_config', CONFIGS / other, ROW10)[1]
    lines = [line for line in out.splitlines() if not line.startswith('#')]
    expected = 'no difference' if other == ROW10.name else 'optim_wrapper.optimizer.weight_decay: 0.0005 -> 0.0001'
    assert lines == [expected]
