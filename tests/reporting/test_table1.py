import pytest

from octfluid.reporting.pages import render_page
from octfluid.reporting.table1 import build, build_hrf, mean_image_iou, scores_of, zoo_heads
from octfluid.utils.errors import InputError

# 10 of 40 fluid pixels found with 10 false ones; all of 20 missed; no fluid, 7 false; no fluid, nothing predicted.
COUNTS = [(10, 10, 30, 50), (0, 0, 20, 80), (0, 7, 0, 93), (0, 0, 0, 100)]
IMAGES = [dict(zip(('tp', 'fp', 'fn', 'tn'), counts, strict=True)) for counts in COUNTS]
VESSELS = [(80, 20, 20, 65416)]  # vessel Dice 2 * 80 / (160 + 40) = 0.8


@pytest.fixture
def zero_shot(make_run, own):
    def make(head='pspnet', counts=COUNTS, **changes):
        record = dict(kind='test', split='all', iterations=0, init=own(head), history=[]) | changes
        # The scored weights are the initial ones.
        digest = record['init']['sha256'] if record['init'] else 'd' * 64
        return make_run(f'table1/{head}', counts, checkpoint_sha256=digest, **record)

    return make


def shown(runs, vessels=()):
    return render_page('table1.md', {'table1': build(runs), 'hrf': build_hrf(list(vessels))})


def test_scores_by_hand():
    # 10/50, 0/20, 0/7, and 0 for the empty union, over four images.
    assert mean_image_iou(IMAGES) == pytest.approx(0.2 / 4)
    assert mean_image_iou(IMAGES, only_with_foreground=True) == pytest.approx(0.2 / 2)
    assert mean_image_iou([]) is None and mean_image_iou([IMAGES[3]], only_with_foreground=True) is None
    scores = scores_of(IMAGES)
    # Pooled: tp 10, fp 17, fn 50, tn 323. Something was predicted in the first and the third.
    assert scores['predicted'] == 0.5
    assert scores['Dice.background'] == pytest.approx(646 / 713, abs=1e-8)
    assert scores['mIoU'] == pytest.approx((10 / 77 + 323 / 390) / 2, abs=1e-8)


def test_the_page_compares_ours_with_the_paper(zero_shot, rows_below):
    text = shown([zero_shot()])
    heading = 'All graded scans (4, 2 with fluid): from HRF vessel weights trained here, 40 000'
    pspnet, fcn, _, background = rows_below(text, heading)
    assert pspnet[1:5] == ['0.0022', '0.0500', '10.00', '12.99'] and pspnet[-2:] == ['50.00', 'bf16']
    assert fcn[:3] == ['FCN', '0.0008', 'not run'] and fcn[-1] == '-'
    assert background[0] == 'background everywhere' and background[2] == '0.0000' and background[-2] == '0.00'
    assert '`pspnet_unet_s5-d16_hrf_40000i_eeeeeeee.safetensors` (SHA-256 `eeeeeeee...`)' in text
    assert '| PSPNet | 0.0022 | not run |' in shown([]) and '| DeepLabV3 | 0.0016 | not run |' in shown([])


def test_the_subset_and_other_lengths_have_sections_of_their_own(zero_shot, own):
    short = zero_shot(init=own('pspnet', 1000, 'a'), split='paper', split_sha256='9' * 64)
    table = build([zero_shot(), zero_shot('fcn', init=own('fcn', 1000, 'b')), short])
    assert [(section['split'], section['start'], list(section['heads'])) for section in table['sections']] == [
        ('all', 'hrf-own-40000i', ['pspnet']),
        ('all', 'hrf-own-1000i', ['fcn']),
        ('paper', 'hrf-own-1000i', ['pspnet']),
    ]


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'kind': 'train'}, 'a training'),
    ({'split': 'subject01'}, 'split subject01'),
    ({'overrides': {'model.test_cfg.stride': [1, 1]}}, 'overrides model.test_cfg.stride'),
    ({'iterations': 400}, 'not published vessel weights'),
    ({'init': None, 'iterations': 1000, 'variant': 'trained-on-usual'}, 'not published vessel weights'),
])  # fmt: skip
def test_a_run_that_does_not_count_is_listed(zero_shot, changes, reason):
    ((_, why),) = build([zero_shot(**changes)])['not_used']
    assert why.startswith(reason)


def test_a_test_in_16_bits_counts_and_other_weights_have_a_row_each(zero_shot, own):
    rough = zero_shot(precision='bf16', variant='bf16', counts=[(10, 10, 30, 50)])
    assert build([rough])['sections'][0]['heads']['pspnet'][0]['measure'] == pytest.approx(0.2)
    with pytest.raises(InputError, match='remove one'):  # one test for each file of weights
        build([rough, zero_shot(precision='fp32')])
    two = build([rough, zero_shot(init=own(digit='a'), precision='fp32')])['sections'][0]['heads']['pspnet']
    assert [(line['sha256'][0], line['precision']) for line in two] == [('a', 'fp32'), ('e', 'bf16')]


@pytest.mark.parametrize(('head', 'changes'), [('pspnet', {'config_sha256': '9' * 64}), ('fcn', {'split_sha256': '9' * 64})])
def test_two_tests_of_the_same_weights_and_other_files_are_refused(zero_shot, head, changes):
    with pytest.raises(InputError, match=rf'pspnet_0\.json.*{head}_0\.json'):
        build([zero_shot(), zero_shot(head, **changes)])


@pytest.fixture
def vessels(make_run):
    def make(head='pspnet', counts=VESSELS, iterations=40000, **changes):
        options = {'train_cfg.max_iters': iterations} if iterations != 40000 else {}
        run = make_run(f'hrf/{head}', counts, **{'split': 'usual', 'iterations': iterations, 'overrides': options,
                                                 'config_sha256': f'{iterations:064d}', **changes})  # fmt: skip
        return type(run)(**{**vars(run), 'foreground': 'vessel'})

    return make


def test_vessels_have_differences_and_wall_times(vessels, rows_below):
    assert zoo_heads()['pspnet'] == {'title': 'PSPNet', 'Dice': 0.8007, 'mDice': 0.8924}
    runs = [vessels(wall_seconds=4000.0), vessels(counts=[(60, 40, 40, 65396)], seed=1, wall_seconds=5000.0)]
    (group,) = build_hrf(runs)['groups']
    assert group['difference']['Dice'] == pytest.approx(0.7 - 0.8007) and group['wall_seconds'] == 4500
    fcn, short, pspnet, deeplab = rows_below(shown([], [*runs, vessels(iterations=1000)]), 'Source training')
    assert short[2] == '1 000'  # a row of its own
    assert fcn[:6] == ['FCN', 'ours', '40 000', '79.45', 'not run', '-'] and deeplab[4] == 'not run'
    assert pspnet[:6] == ['PSPNet', 'ours', '40 000', '80.07', '70.00 ± 14.14', '-10.07']
    assert pspnet[-2:] == ['0, 1', '1 h 15 min']
    assert '| 0, 1 † |' in shown([], [vessels(), vessels(seed=1, precision='fp32')])


def test_tests_count_for_the_zoos_weights_alone(vessels, own, zoo_weights):
    test = dict(kind='test', iterations=0, overrides={}, history=[], counts=[(60, 40, 40, 65396)])
    exact = vessels(**test, init=zoo_weights, checkpoint_sha256='f' * 64, precision='fp32')
    table = build_hrf([vessels(), exact, vessels(**test, init=own(), precision='fp32')])
    assert [(group['whose'], group['n']) for group in table['groups']] == [('ours', 1), ('zoo', 1)]
    assert table['groups'][1]['precisions'] == {'fp32': 1} and len(table['not_used']) == 1


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'split': 'other'}, 'split other'),
    ({'variant': '2processes'}, 'variant 2processes'),
    ({'overrides': {'train_cfg.max_iters': 9, 'optim_wrapper.optimizer.lr': 1}}, 'overrides optim_wrapper.optimizer.lr'),
    ({'kind': 'test', 'iterations': 0, 'overrides': {}}, 'a test'),
])  # fmt: skip
def test_a_vessel_run_that_does_not_count_is_listed(vessels, changes, reason):
    ((_, why),) = build_hrf([vessels(**changes)])['not_used']
    assert why.startswith(reason)
