from octfluid.reporting.run_times import build, render


def test_medians_by_config_and_device(row_runs, make_run):
    runs = row_runs(10, [1, 2, 3])
    for run, seconds in zip(runs, (60.0, 200.0, 100.0), strict=True):
        run.record['wall_seconds'] = seconds
    other = make_run('table2/10_crop320_wd1e-4', device='a GPU', wall_seconds=7.4, seed=5)
    vessels = make_run('hrf/pspnet', split='usual', iterations=1000, wall_seconds=3600.0)
    groups = build([*runs, other, vessels, make_run('smoke/duke_dme', wall_seconds=1.0)])
    assert [(group['table'], group['n'], group['wall_seconds']) for group in groups] == [
        ('hrf', 1, 3600.0), ('table2', 3, 100.0), ('table2', 1, 7.4), ('recipes', 1, 1.0)]  # fmt: skip
    lines = render(groups).splitlines()[2:]
    assert lines[0] == '| vessels: `pspnet` | 1 000 iterations, 2 images scored | 1 h 00 min | a CPU, bf16 |'
    assert lines[1].endswith('| 1 min 40 s (median of 3) | a CPU, bf16 |')
    assert lines[2].endswith('| 0 min 07 s | a GPU, bf16 |')


def test_a_test_trains_nothing_and_no_runs_are_no_table(make_run):
    assert '| 2 images scored |' in render(build([make_run('table1/fcn', kind='test', split='all', iterations=0)]))
    assert render(build([])) == ''


def test_unlike_runs_are_not_mixed(make_run):
    row = 'table2/10_crop320_wd1e-4'
    runs = [make_run(row, wall_seconds=10.0), make_run(row, variant='4processes', wall_seconds=20.0),
            make_run(row, overrides={'train_dataloader.num_workers': 0}, wall_seconds=30.0),
            make_run(row, split='subject01', wall_seconds=40.0),
            make_run(row, split='subject02', wall_seconds=50.0)]  # fmt: skip
    groups = build(runs)
    # The folds of leave-one-subject-out are alike.
    assert sorted((group['wall_seconds'], group['n']) for group in groups) == [(10.0, 1), (20.0, 1), (30.0, 1), (45.0, 2)]
    text = render(groups)
    config = '| table 2: `10_crop320_wd1e-4`'
    for special in ('', ', 4processes', ', `train_dataloader.num_workers=0`', ', split leave-one-subject-out'):
        assert f'{config}{special} |' in text


def test_runs_that_are_not_what_their_config_describes_are_left_out(make_run):
    shorter = {'train_cfg.max_iters': 1000}
    assert build([make_run('table2/06_crop320', overrides=shorter, iterations=1000)]) == []
    assert build([make_run('hrf/pspnet', overrides={'model.backbone.base_channels': 8})]) == []
    assert len(build([make_run('hrf/pspnet', overrides=shorter, iterations=1000)])) == 1


def test_the_precision_of_a_test_is_said_once(make_run):
    text = render(build([make_run('table1/fcn', kind='test', split='all', iterations=0, variant='bf16')]))
    assert text.count('bf16') == 1
