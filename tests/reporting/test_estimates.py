from pathlib import Path

import pytest

from octfluid.datasets.splits import paper_rows
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.record import to_run
from octfluid.reporting import estimates, recipes
from octfluid.reporting.comparisons import compare
from octfluid.reporting.estimates import shared_subjects
from octfluid.reporting.model_card import MEASURES, scores_of
from octfluid.reporting.report import build_results
from octfluid.utils.errors import InputError

SCANS = [row.scan for row in paper_rows()]
PAPER = {row.scan.name for row in paper_rows() if row.subset == 'val'}
FOLDS = [f'subject{number:02d}' for number in range(1, 11)]


def of_claim(found, claim):
    return next((item for item in found if (item['family'], item['title']) == ('conclusions, hrf-own-40000i', claim)), None)


@pytest.fixture
def run_of(run_of_images):
    """Make the run of a split and seed, from the fluid Dice in percent (an integer) that each subject is to have."""

    def make(split='paper', seed=0, dice=lambda subject: 50, more=0, size=(256, 256), **changes):
        wanted = [scan for scan in SCANS if (scan.name in PAPER if split == 'paper' else scan.subject == int(split[-2:]))]
        rows = [(scan.name, scan.subject, k := dice(scan.subject), 100 - k, 100 - k + more, *size) for scan in wanted]
        digest = f'{FOLDS.index(split) + 1 if split in FOLDS else 0:064x}'
        path = f'{split}_{seed}_{changes.get("config_sha256", "a")[0]}.json'
        return run_of_images(rows, path, split=split, seed=seed, split_sha256=digest, **changes)

    return make


def test_folds_are_pooled_over_all_scans_and_averaged_over_seeds(run_of):
    runs = [run_of(fold, seed, lambda subject, seed=seed: 50 + 10 * seed) for fold in FOLDS for seed in (0, 1)]
    (group,) = estimates.build(runs)
    assert (group['protocol'], group['seeds'], group['missing']) == ('leave-one-subject-out', [0, 1], [])
    assert (group['images'], group['with_fluid'], group['subjects'], group['size']) == (110, 110, 10, [256, 256])
    assert group['measures']['dice']['value'] == pytest.approx(0.55)
    assert group['shared_subjects'] is False and len(group['records']) == 20
    assert [line['dice'] for line in group['per_subject']] == [[0.5, 0.6]] * 10


def test_a_missing_fold_is_named_and_the_pooled_figure_withheld(run_of, pages_of):
    runs = [run_of(fold, seed) for seed in (0, 1) for fold in FOLDS[: 10 - seed] if fold != 'subject04']
    (group,) = estimates.build(runs)
    assert group['missing'] == ['subject04', 'subject10 (seed 1)']
    assert group['measures'] is None and group['bland_altman'] is None
    page = pages_of(build_results(runs))['recipes.md']
    assert '| withheld; no complete run of subject04, subject10 (seed 1) | - | - | - | - |' in page


def test_protocols_seeds_and_weights_make_groups_and_overrides_leave_a_run_out(run_of, hrf_weights):
    other = run_of(seed=2, overrides={'optim_wrapper.optimizer.lr': 1})
    runs = [run_of(), run_of(seed=1), run_of(init=hrf_weights), run_of('subject01'), other]
    groups = estimates.build(runs)
    assert [(g['protocol'], g['init'], g['seeds']) for g in groups] == [
        ('leave-one-subject-out', 'scratch', [0]),
        ('paper', 'hrf-own', [0]),
        ('paper', 'scratch', [0, 1]),
    ]
    assert [group['images'] for group in groups] == [11, 22, 22]
    assert build_results(runs)['estimates']['not_used'] == [[other.label, 'overrides optim_wrapper.optimizer.lr']]
    with pytest.raises(InputError, match=r'paper_0_a\.json.*paper_1_9\.json'):
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
    (item,) = compare(leaking(run_of, FOLDS))
    honest = [60 if scan.subject % 2 else 50 for scan in SCANS if scan.name in PAPER]
    assert item['difference'] == pytest.approx(0.7 - sum(honest) / 2200)
    assert (item['family'], item['images'], item['note'], item['seeds']) == ('leakage', 22, '', [1, 1])
    low, high = item['interval']
    assert 0.1 <= low < item['difference'] < high <= 0.2
    assert item['p'] == item['p_holm'] < 0.05
    # The folds are parts of a pooled score and in no table by themselves.
    assert build_results(leaking(run_of, FOLDS))['table2']['sections']['scratch']['10']['seeds'] == [0]
    # On some folds it says on which images, and gives no interval.
    (item,) = compare(leaking(run_of, ['subject08', 'subject10']))
    assert (item['images'], item['subjects'], item['interval']) == (8, 2, None)
    assert item['note'].startswith('on 8 of the 22 images of split paper; missing: subject01, subject02')


def test_conclusions_are_compared_over_patients_and_corrected_together(run_of, hrf_weights):
    row6 = {'config': 'configs/table2/06_crop320.py', 'config_sha256': '6' * 64}
    runs = [run_of(dice=lambda _: 70, init=hrf_weights), run_of(dice=lambda _: 60)]
    runs += [run_of(dice=lambda s: 60 + s, init=hrf_weights, **row6)]
    found = compare(runs)
    transfer = of_claim(found, 'Transfer works: vessel weights beat random ones')
    decay = of_claim(found, 'Less weight decay, 1e-4, is better than 5e-4')
    assert transfer['difference'] == pytest.approx(0.1) and transfer['interval'] == pytest.approx([0.1, 0.1])
    assert decay['difference'] > 0 and len(found) == 2
    assert transfer['p_holm'] == pytest.approx(2 * transfer['p']) or decay['p_holm'] == pytest.approx(2 * decay['p'])


RECIPE = {'config': 'configs/duke_dme/compact.py', 'config_sha256': '5' * 64}


def test_recipes_are_compared_with_row_10_from_the_longest_source_training(run_of, own):
    runs = [run_of(dice=lambda _: 80, **RECIPE), run_of(dice=lambda _: 0)]
    runs += [run_of(dice=lambda _: 50, init=own(iterations=1000)), run_of(dice=lambda _: 60, init=own(iterations=40000))]
    (item,) = [item for item in compare(runs) if item['family'] == 'against row 10, paper']
    assert (item['arm'], item['reference']) == ('duke_dme/compact (scratch)', 'row 10 (hrf-own)')
    assert item['difference'] == pytest.approx(0.2)
    # Neither at another size nor with a fold missing.
    assert compare([run_of(), run_of(size=(496, 768), **RECIPE)]) == []
    folds = [*(run_of(fold) for fold in FOLDS), *(run_of(fold, **RECIPE) for fold in FOLDS)]
    assert [item['images'] for item in compare(folds)] == [110] and compare(folds[1:]) == []


@pytest.mark.parametrize(('variant', 'family'), [('columns', 'graded columns'), ('across_devices', 'across devices')])
def test_a_variant_is_compared_with_the_recipe_scored_alike(run_of, variant, family):
    names = [f'configs/duke_dme/{name}.py' for name in ('compact', variant, f'{variant}_graded')]
    digests = [dict(config=name, config_sha256=f'{place}' * 64) for place, name in enumerate(names, 1)]
    runs = [run_of(dice=lambda subject, place=place: 50 + 10 * place, **one) for place, one in enumerate(digests)]
    (item,) = compare(runs)
    assert item['family'] == f'{family}, paper' and item['difference'] == pytest.approx(0.1)
    assert item['arm'].startswith(f'duke_dme/{variant} (') and item['reference'].startswith('duke_dme/compact (')


def test_figures_show_the_recipe_and_not_what_scored_best(run_of):
    names = ('columns', 'compact_paper256', 'native_paper256')
    runs = [
        run_of(dice=lambda subject, best=60 + place: best, config=f'configs/duke_dme/{name}.py', config_sha256=f'{place}' * 64)
        for place, name in enumerate(names)
    ]
    shown = [[group['config'] for group in recipes.plotted(estimates.build(chosen))] for chosen in (runs, [runs[0], runs[2]])]
    assert shown == [['configs/duke_dme/compact_paper256.py'], ['configs/duke_dme/native_paper256.py']]


def test_sides_scored_against_other_masks_are_refused(run_of):
    with pytest.raises(InputError, match='s08_z'):
        compare([run_of(), run_of('subject08', more=1)])


def test_a_models_card_gives_the_scores_of_complete_protocols(run_of, make_record):
    on_all = to_run(Path('all.json'), make_record(split='all', images=[], metrics=pooled_metrics([])))
    folds = [run_of(fold, seed, lambda s: 60 if s % 2 else 40) for fold in FOLDS for seed in (0, 1)]
    (found,) = scores_of([on_all, *folds, *folds[:3], run_of('paper', variant='trained-on-all')])
    measures = found.pop('measures')
    assert found == dict(
        config='configs/table2/10_crop320_wd1e-4.py', protocol='leave-one-subject-out', variant='', iterations=400, images=110,
        subjects=10, size=[256, 256], seeds=2, patients_seen=False,
    )  # fmt: skip
    # Half of the patients at 40 and half at 60 %: 5500 hits, as many false and missed pixels.
    background = 2 * (110 * 65436 - 5500) / (2 * (110 * 65436 - 5500) + 11000)
    assert list(measures) == list(MEASURES)
    assert measures['dice']['value'] == measures['image_dice']['value'] == pytest.approx(0.5)
    assert measures['mdice']['value'] == pytest.approx((0.5 + background) / 2)
    assert 0.4 <= measures['dice']['interval'][0] < 0.46 and 0.54 < measures['dice']['interval'][1] <= 0.6


@pytest.mark.parametrize('changes', [{}, {'overrides': {'optim_wrapper.optimizer.lr': 1.0}}])
def test_a_card_needs_a_complete_protocol(run_of, make_record, changes):
    inner = to_run(Path('inner.json'), make_record(split='paper-inner1'))
    with pytest.raises(InputError, match='^records: '):
        scores_of([inner, *(run_of(fold, **changes) for fold in (FOLDS if changes else FOLDS[1:]))])
