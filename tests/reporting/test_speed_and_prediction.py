import json

import pytest

from octfluid.reporting import speed
from octfluid.reporting.pages import render_page
from octfluid.utils.errors import InputError


def test_wall_times_are_medians_of_like_runs(make_run, rows_below):
    row = 'table2/10_crop320_wd1e-4'
    runs = [make_run(row, wall_seconds=seconds, seed=seed) for seed, seconds in enumerate((90.0, 100.0, 300.0))]
    runs += [make_run(row, variant='4processes', wall_seconds=20.0), make_run(row, split='subject01', wall_seconds=40.0),
             make_run(row, split='subject02', wall_seconds=50.0),
             make_run(row, iterations=5, overrides={'train_cfg.max_iters': 5}),
             make_run('table1/fcn', kind='test', split='all', iterations=0, variant='bf16', wall_seconds=7.0)]  # fmt: skip
    groups = speed.build_run_times(runs)
    lines = rows_below(render_page('speed.md', {'speed': speed.build({}), 'run_times': groups}), 'Wall time')
    assert sorted(lines) == [
        ['table 1: `fcn`', '2 images scored', '0 min 07 s', 'a CPU, bf16'],
        ['table 2: `10_crop320_wd1e-4`', '400 iterations, 2 images scored', '1 min 40 s (median of 3)', 'a CPU, bf16'],
        ['table 2: `10_crop320_wd1e-4`, 4processes', '400 iterations, 2 images scored', '0 min 20 s', 'a CPU, bf16'],
        ['table 2: `10_crop320_wd1e-4`, split leave-one-subject-out', '400 iterations, 2 images scored',
         '0 min 45 s (median of 2)', 'a CPU, bf16'],
    ]  # fmt: skip


@pytest.mark.parametrize('content', [{'schema': 'octfluid.benchmark/1', 'kind': 'x'}, {'schema': 'x', 'kind': 'areas'}, []])
@pytest.mark.parametrize('read', [speed.read_benchmarks, speed.read_checks])
def test_other_files_are_refused(tmp_path, read, content):
    assert read(tmp_path / 'none') == {}
    (tmp_path / 'x.json').write_text(json.dumps(content))
    with pytest.raises(InputError, match=r'x\.json: '):
        read(tmp_path)


def test_areas_are_summed_and_dice_averaged(tmp_path, rows_below):
    graded = [dict(bscan=k, found_mm2=f, graded_mm2=g, dice=d) for k, f, g, d in ((1, 0.5, 0.25, 0.5), (2, 0.25, 0.0, None))]
    found = [dict(subject=3, bscans=61, fluid_mm3=1.25, graded=graded)]
    (tmp_path / 'areas.json').write_text(json.dumps(dict(schema='octfluid.prediction-check/1', kind='areas', found=found)))
    text = render_page('prediction.md', {'prediction': speed.read_checks(tmp_path)})
    assert rows_below(text, 'Areas and volumes') == [['3', '61', '1.250', '2', '0.750', '0.250', '0.500']]
    assert rows_below(text, 'The graded B-scans') == [['1', '0.5000', '0.2500', '0.500'], ['2', '0.2500', '0.0000', '-']]
