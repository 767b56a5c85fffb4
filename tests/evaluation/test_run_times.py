from octfluid.evaluation.run_times import build, render


def test_medians_by_config_and_device(row_runs, make_run):
    runs = row_runs(10, [1, 2, 3])
    for run, seconds in zip(runs, (60.0, 200.0, 100.0), strict=True):
        run.record['wall_seconds'] = seconds
    other = make_run('table2/10_crop320_wd1e-4', device='a GPU', wall_seconds=7.4, seed=5)
    vessels = make_run('hrf/pspnet', iterations=1000, wall_seconds=3600.0)
    groups = build([*runs, other, vessels, make_run('smoke/duke_dme', wall_seconds=1.0)])
    assert [(group['table'], group['n'], group['wall_seconds']) for group in groups] == [
        ('hrf', 1, 3600.0), ('table2', 3, 100.0), ('table2', 1, 7.4)]  # fmt: skip
    lines = render(groups).splitlines()[2:]
    assert lines[0] == '| vessels: `pspnet` | 1 000 iterations, 2 images scored | 1 h 00 min | a CPU, bf16 |'
    assert lines[1].endswith('| 1 min 40 s (median of 3) | a CPU, bf16 |')
    assert lines[2].endswith('| 0 min 07 s | a GPU, bf16 |')


def test_a_test_trains_nothing_and_no_runs_are_no_table(make_run):
    assert '| 2 images scored |' in render(build([make_run('table1/fcn', kind='test', iterations=0)]))
    assert render(build([])) == ''
