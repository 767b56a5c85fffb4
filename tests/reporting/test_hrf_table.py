import pytest

from octfluid.reporting.hrf import build, render, zoo_heads
from octfluid.reporting.markdown import duration

# Vessel Dice 2 * 80 / (160 + 40) = 0.8.
COUNTS = [(80, 20, 20, 65416)]


@pytest.fixture
def vessels(make_run):
    def make(head='pspnet', counts=COUNTS, iterations=40000, **changes):
        options = {'train_cfg.max_iters': iterations} if iterations != 40000 else {}
        run = make_run(f'hrf/{head}', counts, **{'split': 'usual', 'iterations': iterations, 'overrides': options,
                                                 'config_sha256': f'{iterations:064d}', **changes})  # fmt: skip
        run.record['metrics'] = {key.replace('fluid', 'vessel'): value for key, value in run.record['metrics'].items()}
        return type(run)(**{**vars(run), 'foreground': 'vessel'})

    return make


def heads(table):
    return [(group['head'], group['whose'], group['iterations'], group['n']) for group in table['groups']]


def test_the_zoos_scores():
    assert zoo_heads()['pspnet'] == {'title': 'PSPNet', 'Dice': 0.8007, 'mDice': 0.8924}
    assert list(zoo_heads()) == ['fcn', 'pspnet', 'deeplabv3']


def test_differences_wall_time_and_pending_heads(vessels):
    table = build([vessels(wall_seconds=4000.0), vessels(counts=[(60, 40, 40, 65396)], seed=1, wall_seconds=5000.0)])
    (group,) = table['groups']
    assert group['difference']['Dice'] == pytest.approx(0.7 - 0.8007)
    assert group['wall_seconds'] == 4500
    lines = [line.strip('| ').split(' | ') for line in render(table).splitlines() if line.startswith('| ')][2:]
    assert lines[0][:6] == ['FCN', 'ours', '40 000', '79.45', 'pending', '-']
    assert lines[1][:6] == ['PSPNet', 'ours', '40 000', '80.07', '70.00 ± 14.14', '-10.07']
    assert lines[1][-4:] == ['0, 1', '1 h 15 min', 'a CPU', 'bf16']
    assert len(lines) == 3


def test_shorter_trainings_have_lines_of_their_own_and_the_full_one_stays_pending(vessels):
    table = build([vessels(iterations=4000), vessels(iterations=1000)])
    assert heads(table) == [('pspnet', 'ours', 1000, 1), ('pspnet', 'ours', 4000, 1)]
    lines = [line.split(' | ')[2] for line in render(table).splitlines() if line.startswith('| PSPNet')]
    assert lines == ['1 000', '4 000', '40 000']


@pytest.fixture
def published(vessels):
    """Make a test of published weights, which records seed 0 whatever seed they were trained with."""

    def make(init, counts=COUNTS, precision='fp32', **changes):
        variant = '' if precision == 'fp32' else precision
        return vessels(counts=counts, init=init, checkpoint_sha256=init['sha256'], precision=precision, variant=variant,
                       kind='test', iterations=0, config_sha256='4' * 64, history=[], overrides={}, **changes)  # fmt: skip

    return make


def test_a_test_counts_only_where_no_training_scored_the_same_weights(vessels, published, own, zoo_weights):
    table = build([vessels(), published(own()), published(own('pspnet', 1000, 'a')), published(zoo_weights)])
    assert heads(table) == [('pspnet', 'ours', 1000, 1), ('pspnet', 'ours', 40000, 1), ('pspnet', 'zoo', 40000, 1)]
    assert [reason for _, reason in table['not_used']] == ['a test of weights that a training run scored already']
    assert [group['tested'] and group['tested'][0] for group in table['groups']] == ['a', None, 'f']
    assert table['groups'][0]['wall_seconds'] is None
    assert '| PSPNet | ours, `aaaaaaaa` | 1 000 |' in render(table) and '| PSPNet | zoo, `ffffffff` |' in render(table)


def test_a_test_of_a_trainings_own_checkpoint_says_nothing_new(vessels):
    # Another score, because it was made in other arithmetic.
    again = vessels(counts=[(81, 19, 19, 65417)], kind='test', overrides={}, precision='fp32')
    assert heads(build([vessels(checkpoint_sha256='1' * 64), again])) == [('pspnet', 'ours', 40000, 1)] * 2
    assert heads(build([vessels(), again])) == [('pspnet', 'ours', 40000, 1)]


def test_of_two_tests_of_the_same_weights_the_one_in_float32_counts(published, own):
    rough, exact = published(own(), [(79, 21, 21, 65415)], 'bf16'), published(own())
    assert heads(build([rough])) == [('pspnet', 'ours', 40000, 1)]
    table = build([rough, exact])
    assert table['groups'][0]['Dice']['values'] == [0.8]
    assert table['not_used'] == [[rough.label, 'scored in bf16, and there is a test in fp32']]


def test_tests_are_not_averaged_with_trainings_or_with_each_other(vessels, published, own):
    # Of another seed's weights, or rounded ones: either way not those of the training.
    other = published(own(), [(70, 30, 30, 65406)])
    for seed in (0, 1):
        table = build([vessels(seed=seed), other, published(own(digit='a'), [(60, 40, 40, 65396)])])
        assert [(group['tested'] and group['tested'][0], group['Dice']['values']) for group in table['groups']] == [
            (None, [0.8]), ('a', [0.6]), ('e', [0.7])]  # fmt: skip
        assert not table['not_used']


def test_trainings_in_different_precision_are_marked(vessels):
    text = render(build([vessels(), vessels(seed=1, precision='fp32')]))
    assert '| 0, 1 † |' in text and '- †: from runs' in text
    assert '†' not in render(build([vessels(), vessels(seed=1)]))


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'split': 'other'}, 'split other; the table takes the split usual'),
    ({'variant': '2processes'}, 'variant 2processes'),
    ({'overrides': {'train_cfg.max_iters': 9, 'optim_wrapper.optimizer.lr': 1}}, 'overrides optim_wrapper.optimizer.lr'),
    ({'kind': 'test', 'iterations': 0, 'overrides': {}}, 'after how many iterations its weights are is unknown'),
])  # fmt: skip
def test_a_run_that_does_not_count_is_listed(vessels, changes, reason):
    assert [why for _, why in build([vessels(**changes)])['not_used']] == [reason]


def test_a_training_from_other_weights_is_listed(vessels, own):
    assert build([vessels(init=own())])['not_used'][0][1].startswith('initial weights of another origin (pspnet_')


def test_durations():
    assert [duration(seconds) for seconds in (None, 59.6, 3599, 3600, 4500.2)] == [
        '-', '1 min 00 s', '59 min 59 s', '1 h 00 min', '1 h 15 min']  # fmt: skip
