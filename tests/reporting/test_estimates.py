from pathlib import Path

import pytest

from octfluid.datasets.splits import paper_rows
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting import comparisons, estimates, estimates_page
from octfluid.reporting.difference import points_interval
from octfluid.reporting.estimates import shared_subjects
from octfluid.reporting.report import build_results, render_pages
from octfluid.utils.errors import InputError

SCANS = [row.scan for row in paper_rows()]
PAPER = {row.scan.name for row in paper_rows() if row.subset == 'val'}
FOLDS = [f'subject{number:02d}' for number in range(1, 11)]


def images_of(split, found):
    """Counts of the scans that a split scores: each holds 100 fluid pixels, of which `found` of the subject are found."""
    wanted = [scan for scan in SCANS if (scan.name in PAPER if split == 'paper' else scan.subject == int(split[-2:]))]
    rows = []
    for scan in sorted(wanted):
        tp = found(scan.subject)
        rows.append(dict(name=scan.name, subject=scan.subject, height=256, width=256, tp=tp, fp=100 - tp, fn=100 - tp,
                         tn=65536 - 200 + tp, extra={}))  # fmt: skip
    return rows


@pytest.fixture
def run_of(make_record):
    """Make the run of a split and seed, from the fluid Dice in percent (an integer) that each subject is to have."""

    def make(split='paper', seed=0, dice=lambda subject: 50, **changes):
        images = images_of(split, dice)
        digest = f'{FOLDS.index(split) + 1 if split in FOLDS else 0:064x}'
        record = make_record(
            split=split, seed=seed, images=images, metrics=pooled_metrics(images), split_sha256=digest, **changes
        )
        return to_run(Path(f'{split}_{seed}_{record["config_sha256"][:2]}.json'), record)

    return make


def test_folds_are_pooled_over_all_scans_and_averaged_over_seeds(run_of):
    runs = [run_of(fold, seed, lambda subject, seed=seed: 50 + 10 * seed) for fold in FOLDS for seed in (0, 1)]
    (group,) = estimates.build(runs)
    assert (group['protocol'], group['seeds'], group['missing']) == ('leave-one-subject-out', [0, 1], [])
    assert (group['images'], group['with_fluid'], group['subjects'], group['size']) == (110, 110, 10, [256, 256])
    assert group['measures']['dice']['value'] == pytest.approx(0.55)
    assert group['shared_subjects'] is False and len(group['records']) == 20
    assert [line['dice'] for line in group['per_subject']] == [[0.5, 0.6]] * 10


def test_a_missing_fold_is_named_and_the_pooled_figure_withheld(run_of):
    runs = [run_of(fold) for fold in FOLDS if fold != 'subject04'] + [
        run_of(fold, 1) for fold in FOLDS[:9] if fold != 'subject04'
    ]
    (group,) = estimates.build(runs)
    assert group['missing'] == ['subject04', 'subject10 (seed 1)']
    assert group['measures'] is None and group['bland_altman'] is None
    assert {line['subject'] for line in group['per_subject']} == {1, 2, 3, 5, 6, 7, 8, 9}
    text = estimates_page.render({'groups': [group], 'comparisons': [], 'not_used': []})
    assert 'withheld; no complete run of subject04, subject10 (seed 1)' in text and '50.00' not in text


def test_protocols_seeds_and_weights_make_groups_and_overrides_leave_a_run_out(run_of, hrf_weights):
    runs = [run_of(), run_of(seed=1), run_of(init=hrf_weights), run_of('subject01'), run_of(seed=2, overrides={'seed_of': 1})]
    groups = estimates.build(runs)
    assert [(g['protocol'], g['init'], g['seeds']) for g in groups] == [
        ('leave-one-subject-out', 'scratch', [0]),
        ('paper', 'hrf-own', [0]),
        ('paper', 'scratch', [0, 1]),
    ]
    assert [group['images'] for group in groups] == [11, 22, 22]


def test_seeds_with_other_settings_are_refused(run_of):
    with pytest.raises(InputError, match='different versions of the config'):
        estimates.build([run_of(), run_of(seed=1, config_sha256='9' * 64)])


@pytest.mark.parametrize(('arguments', 'expected'), [
    (('paper', '', 400), True),
    (('leave-one-subject-out', '', 400), False),
    (('train6-10_test1-5', '', 400), False),
    (('paper-inner1', '', 400), False),
    (('paper', 'bf16', 0), False),
    (('leave-one-subject-out', 'trained-on-paper', 400), None),
    (('mine', '', 400), None),
])  # fmt: skip
def test_whether_patients_are_shared(arguments, expected):
    assert shared_subjects(*arguments) is expected


def leaking(run_of, folds, **changes):
    """Row 10 with 70 % where patients are shared and, left out, 60 % for odd subjects and 50 % for even ones."""
    return [
        run_of(dice=lambda _: 70, **changes),
        *(run_of(fold, dice=lambda s: 60 if s % 2 else 50, **changes) for fold in folds),
    ]


def test_leakage_is_measured_on_the_same_images(run_of):
    (item,) = comparisons.build(leaking(run_of, FOLDS))
    honest = [60 if image['subject'] % 2 else 50 for image in images_of('paper', lambda _: 0)]
    assert item['difference'] == pytest.approx(0.7 - sum(honest) / 2200)
    assert (item['family'], item['images'], item['note'], item['seeds']) == ('leakage', 22, '', [1, 1])
    low, high = item['interval']
    assert 0.1 <= low < item['difference'] < high <= 0.2
    assert item['p'] == item['p_holm'] < 0.05
    assert "the paper's split flatters" in estimates_page.leakage_section([item])


def test_leakage_on_some_folds_says_on_which_images_and_gives_no_interval(run_of):
    (item,) = comparisons.build(leaking(run_of, ['subject08', 'subject10']))
    assert (item['images'], item['subjects'], item['interval'], item['p']) == (8, 2, None, None)
    assert item['difference'] == pytest.approx(0.2)
    assert item['note'].startswith('on 8 of the 22 images of split paper; missing: subject01, subject02')
    text = estimates_page.leakage_section([item])
    assert 'no verdict' in text and 'on 8 of the 22 images' in text


def test_leakage_is_pending_without_runs_of_both_kinds(run_of):
    assert comparisons.build([run_of(), run_of(seed=1)]) == []
    assert 'Pending: no config' in estimates_page.leakage_section([])


def test_conclusions_are_compared_over_patients_and_corrected_together(run_of, hrf_weights):
    row6 = {'config': 'configs/table2/06_crop320.py', 'config_sha256': '6' * 64}
    runs = [run_of(dice=lambda _: 70, init=hrf_weights), run_of(dice=lambda _: 60)]
    runs += [run_of(dice=lambda s: 60 + s, init=hrf_weights, **row6)]
    found = comparisons.build(runs)
    assert {item['family'] for item in found} == {'conclusions, hrf-own-40000i'}
    transfer = comparisons.of_claim(found, 'hrf-own-40000i', 'Transfer works: vessel weights beat random ones')
    decay = comparisons.of_claim(found, 'hrf-own-40000i', 'Less weight decay, 1e-4, is better than 5e-4')
    assert transfer['difference'] == pytest.approx(0.1) and transfer['interval'] == pytest.approx([0.1, 0.1])
    assert decay['difference'] > 0 and len(found) == 2
    assert transfer['p_holm'] == pytest.approx(2 * transfer['p']) or decay['p_holm'] == pytest.approx(2 * decay['p'])
    assert comparisons.of_claim(found, 'hrf-own-40000i', 'A crop of 320 helps') is None


def test_recipes_are_compared_with_row_10_from_the_longest_source_training(run_of, own):
    recipe = {'config': 'configs/smoke/duke_dme.py', 'config_sha256': '5' * 64}
    runs = [run_of(dice=lambda _: 80, **recipe), run_of(dice=lambda _: 0)]
    runs += [run_of(dice=lambda _: 50, init=own(iterations=1000)), run_of(dice=lambda _: 60, init=own(iterations=40000))]
    runs.append(run_of(seed=1, init=own(iterations=1000)))
    (item,) = [item for item in comparisons.build(runs) if item['family'] == 'against row 10, paper']
    assert (item['arm'], item['reference']) == ('smoke/duke_dme (scratch)', 'row 10 (hrf-own)')
    assert item['difference'] == pytest.approx(0.2)


@pytest.mark.parametrize('split', ['paper', 'subject01'])
def test_a_recipe_scored_at_another_size_than_row_10_is_not_compared_with_it(run_of, split):
    recipe = {'config': 'configs/duke_dme/compact.py', 'config_sha256': '5' * 64}
    row10, run = run_of(split), run_of(split, dice=lambda _: 80, **recipe)
    images = [dict(image, height=496, width=768, tn=image['tn'] + 496 * 768 - 256 * 256) for image in run.record['images']]
    native = to_run(Path('native.json'), {**run.record, 'images': images, 'metrics': pooled_metrics(images)})
    sizes = [comparisons.Group(*key, tuple(of)).size for key, of in estimates.group_runs([native, row10]).items()]
    assert sizes == [(496, 768), (256, 256)]
    assert comparisons.build([row10, native]) == []
    assert 'compact' in render_pages(build_results([row10, native]))['estimates.md']
    # At the same size they are compared where no fold is missing.
    assert len(comparisons.build([row10, run])) == (split == 'paper')


def test_sides_scored_against_other_masks_are_refused(run_of):
    runs = leaking(run_of, ['subject08'])
    images = [dict(image, fn=image['fn'] + 1, tn=image['tn'] - 1) for image in runs[1].record['images']]
    record = {**runs[1].record, 'images': images, 'metrics': pooled_metrics(images)}
    with pytest.raises(InputError, match='s08_z'):
        comparisons.build([runs[0], to_run(Path('x.json'), record)])


def test_the_page_gives_every_measure_with_its_unit_and_area(run_of):
    text = estimates_page.render(
        {'groups': estimates.build([run_of(), run_of(seed=1, dice=lambda _: 60)]), 'comparisons': [], 'not_used': []}
    )
    assert '| 55.00 [' in text
    # 45 of 100 predicted pixels are wrong and as many are missed: predicted and true area are equal.
    row = next(line for line in text.splitlines() if line.startswith('| ') and '0.0000 mm²' in line)
    assert '| 0.0 [0.0, 0.0] (0.0000 mm², nominal) | 22 |' in row
    assert 'nan' not in text.lower() and 'None' not in text


def test_the_page_of_conclusions_shows_the_interval_over_patients_and_the_leakage(run_of, hrf_weights):
    runs = [*leaking(run_of, FOLDS, init=hrf_weights), run_of(dice=lambda s: 50 + s)]
    results = build_results(runs)
    page = render_pages(results)['what_holds_up.md']
    (row,) = [line for line in page.splitlines() if line.startswith('| Transfer works')]
    item = comparisons.of_claim(
        results['estimates']['comparisons'], 'hrf-own-40000i', 'Transfer works: vessel weights beat random ones'
    )
    assert f'| {points_interval(item)}, Holm p {estimates_page.p_value(item["p_holm"])} | 1 and 1 |' in row
    assert item['interval'][0] > 0.1 and '## What patients on both sides of the split add' in page
    # The folds are parts of a pooled score, and stand in no table by themselves.
    assert 'subject0' not in render_pages(results)['table2.md']


@pytest.mark.parametrize(('value', 'shown'), [(None, '-'), (0.0004, '< 0.001'), (0.0016, '0.002'), (1.0, '1.000')])
def test_p_values_are_never_shown_as_zero(value, shown):
    assert estimates_page.p_value(value) == shown


@pytest.mark.parametrize(
    ('value', 'unit', 'shown'), [(0.5, '%', '50.00'), (12.34, 'px', '12.3'), (0.9876, '', '0.988'), (None, '%', '-')]
)
def test_measures_are_shown_in_their_units(value, unit, shown):
    assert estimates_page.number(value, unit) == shown


def test_the_readme_says_what_new_patients_and_leaks_come_to(run_of):
    complete = build_results(leaking(run_of, FOLDS))['estimates']
    text = estimates_page.sentences(complete)
    assert '`configs/table2/10_crop320_wd1e-4.py` from scratch: 55.00 [' in text and '(n = 1)' in text
    assert 'points of fluid Dice to row 10 (scratch), measured on 22 scans of 9 patients.' in text
    partly = estimates_page.sentences(build_results(leaking(run_of, ['subject08']))['estimates'])
    assert 'On patients that' not in partly and '4 scans of 1 patient: too few for an interval' in partly
    assert estimates_page.sentences({'groups': [], 'comparisons': []}) == ''


@pytest.mark.parametrize(('interval', 'p', 'note', 'told'), [
    ([0.01, 0.2], 0.04, '', "the paper's split flatters"),
    ([0.01, 0.2], 0.06, '', 'p is above 0.05: not settled'),
    ([0.01, 0.2], 0.04, 'on 20 of the 22 images', 'folds are missing: no verdict'),
    ([-0.01, 0.2], 0.04, '', 'contains 0: not settled'),
    ([-0.2, -0.01], 0.04, '', "the paper's split does not flatter"),
    (None, None, '', 'fewer than 5 patients are in it: no verdict'),
])  # fmt: skip
def test_leakage_is_judged_by_interval_and_p_together(interval, p, note, told):
    assert estimates_page.leakage_verdict({'interval': interval, 'p_holm': p, 'note': note}).endswith(told)


def test_runs_with_settings_of_their_own_are_named_and_not_scored(run_of):
    results = build_results([run_of(seed=2, overrides={'train_cfg.max_iters': 5})])['estimates']
    assert results['groups'] == [] and [reason for _, reason in results['not_used']] == ['overrides train_cfg.max_iters']
    assert 'overrides train_cfg.max_iters' in estimates_page.render(results)


def test_folds_of_other_data_are_withheld_for_want_of_a_list(make_record):
    record = make_record(split='subject01')
    (group,) = estimates.build([to_run(Path('x.json'), record)])
    assert group['measures'] is None and 'only of the Duke scans is it known' in estimates_page.withheld(group)


def test_a_recipe_is_not_compared_over_folds_of_which_one_is_missing(run_of):
    recipe = {'config': 'configs/smoke/duke_dme.py', 'config_sha256': '5' * 64}
    whole = [run_of(fold, dice=lambda _: 60) for fold in FOLDS]
    runs = [*whole, *(run_of(fold, dice=lambda _: 70, **recipe) for fold in FOLDS)]
    (item,) = comparisons.build(runs)
    assert (item['family'], item['images']) == ('against row 10, leave-one-subject-out', 110)
    assert item['difference'] == pytest.approx(0.1)
    assert comparisons.build(runs[1:]) == []
