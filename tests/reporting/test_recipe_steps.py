from pathlib import Path

import pytest
from scored_rows import row

from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting import recipe_steps
from octfluid.reporting.published import read_published
from octfluid.reporting.report import build_results, render_pages
from octfluid.utils.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/duke_dme'
# Two scans in each inner fold, of a patient each: (tp, fp, fn) of the plain network.
PLAIN = {1: [(50, 50, 50), (20, 0, 80)], 2: [(70, 30, 30), (60, 10, 40)], 3: [(90, 10, 10), (10, 50, 90)]}


@pytest.fixture
def inner(make_record):
    """Make the runs of a config on the three inner folds, each pixel count of true fluid as in `PLAIN`, `better` found more."""

    def make(which='steps/0_plain', folds=(1, 2, 3), better=0, **changes):
        runs = []
        for fold in folds:
            images = [
                row(2 * fold + k, 2 * fold + k, tp + better, fp, fn - better) for k, (tp, fp, fn) in enumerate(PLAIN[fold])
            ]
            record = make_record(
                **{'config': f'configs/duke_dme/{which}.py', 'split': f'paper-inner{fold}', 'split_sha256': f'{fold:064x}',
                   'iterations': 450, 'images': images, 'metrics': pooled_metrics(images), **changes}
            )  # fmt: skip
            runs.append(to_run(Path(f'{which}_{record["split"]}_{record["seed"]}.json'), record))
        return runs

    return make


def row_of(steps, config):
    return next(row for row in steps['rows'] if row['config'] == config)


def test_the_three_folds_are_pooled_over_pixels(inner):
    plain = row_of(recipe_steps.build(inner()), '0_plain')
    # tp 300, fp 150, fn 300: the mean of the folds' Dice would be another number.
    assert plain['measures']['dice']['value'] == pytest.approx(600 / 1050)
    assert plain['measures']['precision']['value'] == pytest.approx(300 / 450)
    assert plain['measures']['recall']['value'] == pytest.approx(0.5)
    assert {key: plain[key] for key in ('images', 'subjects', 'seeds', 'iterations', 'missing', 'difference')} == {
        'images': 6, 'subjects': 6, 'seeds': 1, 'iterations': 450, 'missing': [], 'difference': None,
    }  # fmt: skip


def test_seeds_are_averaged_and_one_with_a_missing_fold_does_not_count(inner):
    runs = inner() + inner(better=6, seed=1) + inner(better=10, seed=2, folds=(1, 2))
    plain = row_of(recipe_steps.build(runs), '0_plain')
    # Of the second seed: tp 336, fp 150, fn 264.
    assert plain['measures']['dice']['value'] == pytest.approx((600 / 1050 + 672 / 1086) / 2)
    assert plain['seeds'] == 2


def test_a_difference_is_taken_to_the_config_that_a_line_names(inner):
    steps = recipe_steps.build(inner() + inner('steps/1_dice', better=5) + inner('steps/2_fluid_windows', better=8))
    second, third = row_of(steps, '1_dice'), row_of(steps, '2_fluid_windows')
    # tp 330 and 348, fn 270 and 252.
    assert second['difference']['difference'] == pytest.approx(660 / 1080 - 600 / 1050)
    assert third['difference']['difference'] == pytest.approx(696 / 1098 - 660 / 1080)
    # All six patients gain, so of their 64 exchanges only none and all are as far from 0; two lines are compared.
    assert second['difference']['p'] == pytest.approx(2 / 64)
    assert second['difference']['p_holm'] == third['difference']['p_holm'] == pytest.approx(4 / 64)


def test_a_missing_fold_is_named_and_the_line_pending(inner, rows_below):
    steps = recipe_steps.build(inner() + inner('steps/1_dice', folds=(1, 3)) + inner('steps/2_fluid_windows'))
    second, third = row_of(steps, '1_dice'), row_of(steps, '2_fluid_windows')
    assert second['missing'] == ['paper-inner2'] and 'measures' not in second
    assert third['missing'] == [] and third['difference'] is None
    lines = {line[0]: line[2:] for line in rows_below('\n## ' + recipe_steps.table(steps), '|')}
    assert lines['`1_dice`'] == ['pending', *['-'] * 7]
    assert lines['`0_plain`'][0].startswith('57.14 [') and lines['`0_plain`'][3:] == ['-', '-', '-', '450', '1']
    assert row_of(steps, 'compact')['missing'] == ['paper-inner1', 'paper-inner2', 'paper-inner3']
    assert steps['conditions']['devices'] == {'a CPU': 6}


@pytest.mark.parametrize('changes', [
    {'variant': 'bf16'}, {'kind': 'test'}, {'overrides': {'train_cfg.max_iters': 5}}, {'config': 'configs/mine/0_plain.py'},
    {'init': dict(source='hrf-own', name='pspnet_unet_s5-d16_hrf.safetensors', sha256='e' * 64, loaded=172, total=172)},
    {'split': 'paper'}, {'split': 'subject03-inner1'},
])  # fmt: skip
def test_what_is_no_plain_training_on_an_inner_fold_is_left_out(inner, changes):
    (run,) = inner(folds=(2,), better=9, **changes)
    whole = recipe_steps.build(inner())
    assert recipe_steps.build([*inner(), run]) == whole
    assert row_of(recipe_steps.build([*inner(folds=(1, 3)), run]), '0_plain')['missing'] == ['paper-inner2']


def test_a_config_for_vessel_weights_counts_only_runs_from_them(inner, hrf_weights):
    missing = ['paper-inner1', 'paper-inner2', 'paper-inner3']
    assert row_of(recipe_steps.build(inner('beside/pspnet_hrf')), 'pspnet_hrf')['missing'] == missing
    found = row_of(recipe_steps.build(inner('beside/pspnet_hrf', init=hrf_weights)), 'pspnet_hrf')
    assert found['missing'] == [] and found['images'] == 6


def test_folds_of_different_configs_are_not_averaged(inner):
    with pytest.raises(InputError, match='different versions of the config'):
        recipe_steps.build(inner() + inner(seed=1, config_sha256='9' * 64))


def test_inner_runs_stand_on_this_page_alone(inner, make_run):
    row10, rows = make_run('table2/10_crop320_wd1e-4', split='paper-inner1'), inner()
    results = build_results([*rows, row10])
    assert row_of(results['recipe_steps'], '0_plain')['images'] == 6
    assert {name: content for name, content in results.items() if name != 'recipe_steps'} == {
        name: content for name, content in build_results([]).items() if name != 'recipe_steps'
    }
    pages = render_pages(results)
    assert [name for name, page in pages.items() if '0_plain' in page] == ['recipe_steps.md']
    assert '57.14' in pages['recipe_steps.md']


def test_the_lines_are_the_configs_there_are():
    lines = read_published('recipe_steps.csv')
    found = [path.stem for folder in ('steps', 'beside') for path in CONFIGS.glob(f'{folder}/*.py')]
    assert sorted(line['config'] for line in lines) == sorted([*found, 'compact'])
    assert (CONFIGS / 'compact.py').is_file()


def test_each_line_is_compared_with_one_above_it():
    lines = read_published('recipe_steps.csv')
    stems = [line['config'] for line in lines]
    assert lines[0]['against'] == ''
    assert all(line['against'] in stems[:place] for place, line in enumerate(lines) if place)
    steps = [stem for stem in stems if stem[0].isdigit()]
    assert [int(stem.split('_')[0]) for stem in steps] == list(range(len(steps)))
    assert [line['against'] for line in lines[1 : len(steps)]] == steps[:-1]
