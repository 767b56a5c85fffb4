from pathlib import Path

import pytest

from octfluid.reporting.published import read_published
from octfluid.reporting.recipes import build_external, build_steps, pictures_of
from octfluid.reporting.report import build_results
from octfluid.utils.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/duke_dme'
# Two scans in each inner fold, of a patient each: (tp, fp, fn) of the plain network.
PLAIN = {1: [(50, 50, 50), (20, 0, 80)], 2: [(70, 30, 30), (60, 10, 40)], 3: [(90, 10, 10), (10, 50, 90)]}


@pytest.fixture
def inner(run_of_images):
    """Make the runs of a config on inner folds, with the true fluid of `PLAIN`, and `better` pixels of each scan found more."""

    def make(which='steps/0_plain', folds=(1, 2, 3), better=0, **changes):
        common = {'config': f'configs/duke_dme/{which}.py', 'iterations': 450}
        of = {f: [(f'i{2 * f + k}', 2 * f + k, tp + better, fp, fn - better) for k, (tp, fp, fn) in enumerate(PLAIN[f])]
              for f in folds}  # fmt: skip
        return [
            run_of_images(rows, f'{f}.json', **{**common, 'split': f'paper-inner{f}', 'split_sha256': f'{f:064x}', **changes})
            for f, rows in of.items()
        ]

    return make


def row_of(steps, config):
    return next(row for row in steps['rows'] if row['config'] == config)


def test_the_three_inner_folds_are_pooled_over_pixels_and_averaged_over_complete_seeds(inner):
    plain = row_of(build_steps(inner()), '0_plain')
    # tp 300, fp 150, fn 300: the mean of the folds' Dice would be another number.
    assert plain['measures']['dice']['value'] == pytest.approx(600 / 1050)
    assert plain['measures']['precision']['value'] == pytest.approx(300 / 450)
    assert {key: plain[key] for key in ('images', 'subjects', 'seeds', 'iterations', 'missing', 'difference')} == {
        'images': 6, 'subjects': 6, 'seeds': 1, 'iterations': 450, 'missing': [], 'difference': None,
    }  # fmt: skip
    more = row_of(build_steps(inner() + inner(better=6, seed=1) + inner(better=10, seed=2, folds=(1, 2))), '0_plain')
    # Of the second seed: tp 336, fp 150, fn 264.
    assert more['measures']['dice']['value'] == pytest.approx((600 / 1050 + 672 / 1086) / 2) and more['seeds'] == 2


def test_a_step_is_compared_with_the_one_that_it_builds_on(inner):
    steps = build_steps(inner() + inner('steps/1_dice', better=5) + inner('steps/2_fluid_windows', better=8))
    second, third = row_of(steps, '1_dice'), row_of(steps, '2_fluid_windows')
    # tp 330 and 348, fn 270 and 252.
    assert second['difference']['difference'] == pytest.approx(660 / 1080 - 600 / 1050)
    assert third['difference']['difference'] == pytest.approx(696 / 1098 - 660 / 1080)
    # All six patients gain: of their 64 exchanges only none and all are as far from 0; two rows are compared.
    assert second['difference']['p'] == pytest.approx(2 / 64)
    assert second['difference']['p_holm'] == third['difference']['p_holm'] == pytest.approx(4 / 64)


def test_a_missing_fold_is_named_and_the_step_is_not_run(inner, pages_of, rows_below):
    results = build_results(inner() + inner('steps/1_dice', folds=(1, 3)) + inner('steps/2_fluid_windows'))
    page, steps = pages_of(results)['recipes.md'], results.pop('recipe_steps')
    assert row_of(steps, '1_dice')['missing'] == ['paper-inner2']
    assert row_of(steps, '2_fluid_windows')['difference'] is None
    assert [line[0] for line in rows_below(page, 'What each ingredient')] == ['`0_plain`', '`2_fluid_windows`']
    assert 'Not run on all three inner folds: `1_dice`' in page
    # Inner folds serve to choose settings and are nowhere else.
    empty = build_results([])
    assert all(empty[name] == content for name, content in results.items())


@pytest.mark.parametrize('changes', [
    {'variant': 'bf16'}, {'kind': 'test'}, {'overrides': {'train_cfg.max_iters': 5}}, {'config': 'configs/mine/0_plain.py'},
    {'init': dict(source='hrf-own', name='pspnet_unet_s5-d16_hrf.safetensors', sha256='e' * 64, loaded=172, total=172)},
    {'split': 'paper'}, {'split': 'subject03-inner1'},
])  # fmt: skip
def test_only_plain_trainings_on_inner_folds_count(inner, changes):
    (run,) = inner(folds=(2,), better=9, **changes)
    assert build_steps([*inner(), run]) == build_steps(inner())


def test_a_config_for_vessel_weights_counts_only_runs_from_them(inner, hrf_weights):
    assert len(row_of(build_steps(inner('beside/pspnet_hrf')), 'pspnet_hrf')['missing']) == 3
    assert row_of(build_steps(inner('beside/pspnet_hrf', init=hrf_weights)), 'pspnet_hrf')['images'] == 6
    with pytest.raises(InputError, match=r'1\.json'):
        build_steps(inner() + inner(seed=1, config_sha256='9' * 64))


def test_the_steps_are_the_configs_there_are_each_compared_with_an_earlier_one():
    lines = read_published('recipe_steps.csv')
    stems = [line['config'] for line in lines]
    found = [path.stem for folder in ('steps', 'beside') for path in CONFIGS.glob(f'{folder}/*.py')]
    assert sorted(stems) == sorted([*found, 'compact', 'across_devices'])
    assert all(line['against'] in stems[:place] for place, line in enumerate(lines) if place)


# name, subject, tp, fp, fn, height, width
SCANS = (
    ('Cirrus_1', 1, 30, 10, 20, 10, 10),
    ('Cirrus_2', 2, 10, 30, 0, 10, 20),
    ('Cirrus_3', 3, 0, 5, 0, 10, 10),
    ('Topcon_3D_1', 4, 0, 0, 0, 20, 10),
    ('Topcon_3D_2', 5, 0, 6, 0, 10, 10),
    ('Spectralis_1', 6, 0, 0, 8, 10, 10),
)


def test_scans_of_other_devices_are_scored_by_device(run_of_images, pages_of, rows_below):
    run = run_of_images(SCANS, config='configs/external/compact.py', kind='test', split='all', iterations=0)
    (test,) = build_external([run])
    # tp 40, fp 45, fn 20: Dice 80 / (80 + 65); one scan of 100 pixels holds no fluid, 5 of its pixels are marked.
    assert test['groups'][0] == {
        'group': 'Cirrus', 'scans': 3, 'with_fluid': 2, 'dice': pytest.approx(80 / 145, abs=1e-8),
        'precision': pytest.approx(40 / 85, abs=1e-8), 'recall': pytest.approx(40 / 60, abs=1e-8),
        'empty': 1, 'marked': 1, 'false_share': 0.05,
    }  # fmt: skip
    rows = rows_below(pages_of(build_results([run]))['recipes.md'], '`configs/external/compact.py`, weights dddddddd')
    # 6 of 200 + 100 pixels. Marked where no scan holds fluid, a Dice of 0 would look like a score.
    assert rows[2] == ['Topcon_3D', '2', '0', '-', '-', '-', '1 of 2', '2.00']
    # tp 40, fp 51, fn 28 in all; 11 of the 100 + 200 + 100 pixels without fluid are marked.
    assert rows[3] == ['all', '6', '3', '50.31', '43.96', '58.82', '2 of 3', '2.75']


def test_pictures_are_of_one_seed_so_that_each_shows_what_its_caption_says(run_of_images, tmp_path):
    # The scan that is worst with seed 1 is best with seed 0.
    low, high, found = ('low', 1, 20, 10, 80), ('high', 2, 90, 10, 10), ('low', 1, 95, 5, 5)
    runs = [run_of_images(rows, tmp_path / 'r.json', seed=seed) for seed, rows in ((1, (low, high)), (0, (found, high)))]
    for run in runs:
        for name in ('low', 'high'):
            (tmp_path / f'{Path(run.label).stem}.{name}.png').touch()
    shown = {role: file.name for role, (_, file) in pictures_of(runs).items()}
    assert shown == {role: f'{Path(runs[1].label).stem}.{name}.png' for role, name in (('best', 'low'), ('worst', 'high'))}
