import pytest

from octfluid.datasets.splits import HALVES, build_splits, paper_rows
from octfluid.reporting.folds import LEAVE_ONE_OUT, UNKNOWN_FOLDS, pool, protocol_of
from octfluid.utils.errors import InputError

SCANS = [row.scan for row in paper_rows()]
SUBJECTS = [f'subject{number:02d}' for number in range(1, 11)]


def scored(name, subject, tp=1):
    return name, subject, tp, 2, 3, 4, 4


@pytest.fixture
def fold(run_of_images):
    """Make the run of a split; images are those of the Duke list that validate in it, or those given."""

    def make(split, images=None, path='fold.json', **changes):
        if images is None:
            names = set(build_splits(SCANS)[split].val)
            images = [scored(scan.name, scan.subject) for scan in SCANS if scan.name in names]
        return run_of_images(images, path, split=split, **changes)

    return make


@pytest.fixture
def three(fold):
    """Three folds of a data set with two images of each of three subjects, and what is expected of it."""
    expected = {f'p{subject}_{k}': subject for subject in (1, 2, 3) for k in 'ba'}
    runs = [fold(f'subject{s:02d}', [scored(name, s, tp=s) for name in expected if expected[name] == s]) for s in (3, 1, 2)]
    return runs, expected


def test_protocols():
    assert protocol_of('subject03') == LEAVE_ONE_OUT and protocol_of('fold2') == protocol_of('fold10') == 'folds'
    for split in ('paper', *HALVES, 'subject03-inner1', 'all', 'mysubject03', 'subject3'):
        assert protocol_of(split) == split


def test_each_image_is_scored_once_and_the_scores_are_those_of_all_pixels(three):
    runs, expected = three
    pooled = pool(runs, expected)
    assert pooled.missing == ()
    assert [image['name'] for image in pooled.images] == ['p1_a', 'p1_b', 'p2_a', 'p2_b', 'p3_a', 'p3_b']
    assert [run.record['split'] for run in pooled.runs] == ['subject01', 'subject02', 'subject03']
    # tp = 2 (1 + 2 + 3) = 12, fp = 6 * 2, fn = 6 * 3: Dice = 24 / (24 + 12 + 18); tn = 96 - 42.
    assert pooled.scores['Dice'] == pytest.approx(24 / 54)
    assert pooled.scores['mDice'] == pytest.approx((24 / 54 + 108 / 138) / 2)
    assert pooled.scores['mIoU'] == pytest.approx((12 / 42 + 54 / 84) / 2)


def test_a_fold_without_a_run_or_an_image_is_missing_and_the_scores_are_withheld(three, fold):
    runs, expected = three
    for more in ([], [fold('subject02', [scored('p2_a', 2)])]):
        pooled = pool([*runs[:2], *more], expected)
        assert (pooled.missing, pooled.scores, len(pooled.images)) == (('subject02',), None, 4 + len(more))
    pooled = pool(runs)
    assert (pooled.missing, pooled.scores, len(pooled.images)) == ((UNKNOWN_FOLDS,), None, 6)


def test_the_duke_list_is_expected_of_its_images(fold):
    runs = [fold(split) for split in SUBJECTS]
    pooled = pool(runs)
    assert len(pooled.images) == 110 and pooled.missing == ()
    assert pool(runs[:3] + runs[5:]).missing == ('subject04', 'subject05')


@pytest.mark.parametrize(('folds', 'message'), [
    ([('subject02', 's01_z10', 2)], r"a\.json: 's01_z10' is of subject 2"),
    ([('subject02', 'x', 3)], r"a\.json: split subject02 scores 'x' of subject 3"),
    ([('subject02', 'x', None)], r"a\.json: split subject02 scores 'x' of subject None"),
    ([('train6-10_test1-5', 'x', 6)], r"a\.json: split train6-10_test1-5 scores 'x' of subject 6"),
    # What would count twice.
    ([('subject02', 'x', 2), ('subject02', 'y', 2)], r'a\.json and b\.json are of one split'),
    ([('subject01', 'x', 1), ('subject02', 'x', 2)], r"a\.json and b\.json both score 'x'"),
])  # fmt: skip
def test_images_of_another_fold_are_refused(fold, folds, message):
    with pytest.raises(InputError, match=message):
        pool([fold(split, [scored(name, subject)], path)
              for (split, name, subject), path in zip(folds, ('a.json', 'b.json'), strict=False)])  # fmt: skip


def test_an_image_that_is_not_in_the_list_is_refused(three, fold):
    runs, expected = three
    with pytest.raises(InputError, match=r"b\.json: 'p2_c' is not one of the 6 images"):
        pool([runs[0], fold('subject02', [scored('p2_a', 2), scored('p2_c', 2)], 'b.json')], expected)


@pytest.mark.parametrize(('changes', 'what'), [
    ({'split': 'paper'}, 'protocols'), ({'seed': 1}, 'seeds'), ({'config': 'configs/table2/06_crop320.py'}, 'configs'),
    ({'overrides': {'optim_wrapper.optimizer.lr': 0.1}}, 'overrides'), ({'overrides': {'model': {'x': 1}}}, 'overrides'),
    ({'init': 'other'}, 'initial weights'), ({'iterations': 5}, 'iterations'), ({'variant': 'tta'}, 'variants'),
    ({'kind': 'test'}, 'kinds'),
])  # fmt: skip
def test_mixed_runs(fold, own, changes, what):
    changes = {key: own() if value == 'other' else value for key, value in changes.items()}
    other = fold(**{'split': 'subject02', 'path': 'b.json', **changes})
    with pytest.raises(InputError, match=rf'[ab]\.json.*[ab]\.json.*{what}'):
        pool([fold('subject01', path='a.json'), other])


def test_folds_may_differ_in_what_changes_no_result(fold):
    """The digest of the config covers the split, so it differs between folds; workers and precision are no matter."""
    runs = [
        fold('subject01', config_sha256='1' * 64, overrides={'data_root': 'x', 'train_dataloader.num_workers': 2}),
        fold('subject02', config_sha256='2' * 64, precision='fp32', device='another'),
    ]
    assert len(pool(runs).runs) == 2


def test_a_test_of_weights_that_saw_the_patient_stands_for_no_fold(fold):
    test = {'kind': 'test', 'variant': 'trained-on-paper'}
    pooled = pool([fold('subject01', **test), fold('subject02', **test)])
    assert pooled.images == () and pooled.missing == tuple(SUBJECTS)
    # Weights of the half that holds subject 1 out did not see it; those of subject01-inner1 neither.
    for variant in ('trained-on-train6-10_test1-5+bf16', 'trained-on-subject01-inner1'):
        assert 'subject01' not in pool([fold('subject01', kind='test', variant=variant)]).missing
    assert 'subject06' in pool([fold('subject06', kind='test', variant='trained-on-train6-10_test1-5')]).missing
