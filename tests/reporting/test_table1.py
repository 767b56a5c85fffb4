import pytest

from octfluid.reporting.table1 import build, mean_image_iou, paper_heads, render, scores_of
from octfluid.utils.errors import InputError

# 10 of 40 fluid pixels found with 10 false ones; all of 20 missed; no fluid, 7 false; no fluid, nothing predicted.
COUNTS = [(10, 10, 30, 50), (0, 0, 20, 80), (0, 7, 0, 93), (0, 0, 0, 100)]
IMAGES = [dict(zip(('tp', 'fp', 'fn', 'tn'), counts, strict=True)) for counts in COUNTS]


@pytest.fixture
def zero_shot(make_run, own):
    def make(head='pspnet', counts=COUNTS, **changes):
        record = dict(kind='test', split='all', iterations=0, init=own(head), history=[]) | changes
        # The scored weights are the initial ones.
        digest = record['init']['sha256'] if record['init'] else 'd' * 64
        return make_run(f'table1/{head}', counts, checkpoint_sha256=digest, **record)

    return make


def test_the_papers_measure_by_hand():
    # 10/50, 0/20, 0/7, and 0 for the empty union, over four images.
    assert mean_image_iou(IMAGES) == pytest.approx(0.2 / 4)
    assert mean_image_iou(IMAGES, only_with_foreground=True) == pytest.approx(0.2 / 2)
    assert mean_image_iou([IMAGES[3]]) == 0.0
    assert mean_image_iou([]) is None
    assert mean_image_iou([IMAGES[3]], only_with_foreground=True) is None


def test_all_scores_by_hand():
    scores = scores_of(IMAGES)
    # Pooled: tp 10, fp 17, fn 50, tn 323. Something was predicted in the first and the third.
    assert scores['predicted'] == 0.5
    assert scores['IoU.fluid'] == pytest.approx(10 / 77, abs=1e-8)
    assert scores['Dice.background'] == pytest.approx(646 / 713, abs=1e-8)
    assert scores['mIoU'] == pytest.approx((10 / 77 + 323 / 390) / 2, abs=1e-8)


def test_the_papers_figures():
    assert {head: line['measure'] for head, line in paper_heads().items()} == {
        'pspnet': 0.0022, 'fcn': 0.0008, 'deeplabv3': 0.0016}  # fmt: skip


def test_the_page_shows_ours_beside_the_papers_and_what_is_pending(zero_shot, rows_below):
    text = render(build([zero_shot()]))
    pspnet, fcn, _, background = rows_below(
        text, 'All graded scans (4, 2 with fluid): from HRF vessel weights trained here, 40 000'
    )
    assert pspnet[:5] == ['PSPNet', '0.0022', '0.0500', '10.00', '12.99']
    assert pspnet[-2:] == ['50.00', 'bf16']
    assert fcn[:3] == ['FCN', '0.0008', 'pending'] and fcn[-1] == '-'
    assert background[0] == 'background everywhere' and background[2] == '0.0000' and background[-2] == '0.00'
    assert '`pspnet_unet_s5-d16_hrf_40000i_eeeeeeee.safetensors` (SHA-256 `eeeeeeee...`)' in text


def test_without_runs_all_heads_are_pending(rows_below):
    table = build([])
    assert [(section['split'], section['start']) for section in table['sections']] == [('all', 'hrf-40000i')]
    assert [row[2] for row in rows_below(render(table), 'All graded scans: from HRF')] == ['pending'] * 3


def test_the_subset_and_other_lengths_stand_apart_without_the_papers_figure(zero_shot, own, rows_below):
    short = zero_shot(init=own('pspnet', 1000, 'a'), split='paper', split_sha256='9' * 64)
    table = build([zero_shot(), zero_shot('fcn', init=own('fcn', 1000, 'b')), short])
    assert [(section['split'], section['start'], list(section['heads'])) for section in table['sections']] == [
        ('all', 'hrf-own-40000i', ['pspnet']),
        ('all', 'hrf-own-1000i', ['fcn']),
        ('paper', 'hrf-own-1000i', ['pspnet']),
    ]
    assert rows_below(render(table), 'A subset: the validation scans')[0][:3] == ['PSPNet', '-', '0.0500']


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'kind': 'train'}, 'a training; the table takes tests'),
    ({'split': 'subject01'}, 'split subject01; the table takes all and paper'),
    ({'overrides': {'model.test_cfg.stride': [1, 1]}}, 'overrides model.test_cfg.stride'),
    ({'iterations': 400}, 'not the published vessel weights'),
    ({'init': None, 'iterations': 1000, 'variant': 'trained-on-usual'}, 'not the published vessel weights'),
])  # fmt: skip
def test_a_run_that_does_not_count_is_listed(zero_shot, changes, reason):
    run = zero_shot(**changes)
    table = build([run])
    assert [label for label, _ in table['not_used']] == [run.label] and table['not_used'][0][1].startswith(reason)
    assert not table['sections'][0]['heads']


def test_a_test_in_16_bits_counts_until_there_is_one_in_float32(zero_shot):
    rough = zero_shot(precision='bf16', variant='bf16', counts=[(10, 10, 30, 50)])
    assert build([rough])['sections'][0]['heads']['pspnet'][0]['measure'] == pytest.approx(0.2)
    table = build([rough, zero_shot(precision='fp32')])
    (exact,) = table['sections'][0]['heads']['pspnet']
    assert exact['measure'] == pytest.approx(0.05)
    assert table['not_used'] == [[rough.label, 'scored in bf16, and there is a test in fp32']]


def test_several_files_of_one_head_have_a_line_each(zero_shot, own, rows_below):
    # After new weights have replaced published ones: the old ones were scored in 16 bits, the new ones in float32.
    old = zero_shot(precision='bf16', variant='bf16', counts=[(10, 10, 30, 50)])
    table = build([old, zero_shot(init=own(digit='a'), precision='fp32')])
    lines = table['sections'][0]['heads']['pspnet']
    assert [(line['sha256'][0], line['precision']) for line in lines] == [('a', 'fp32'), ('e', 'bf16')]
    assert not table['not_used']
    shown = rows_below(render(table), 'All graded scans')
    assert [(line[0], line[2], line[-1]) for line in shown[:3]] == [
        ('PSPNet, `aaaaaaaa`', '0.0500', 'fp32'),
        ('PSPNet, `eeeeeeee`', '0.2000', 'bf16'),
        ('FCN', 'pending', '-'),
    ]


def test_two_files_tested_under_one_name_both_count(zero_shot, own):
    # Their records have one name, since it tells the length of the training only.
    runs = [zero_shot(), zero_shot(init=own(digit='a'))]
    assert runs[0].label == runs[1].label
    assert len(build(runs)['sections'][0]['heads']['pspnet']) == 2


def test_a_head_outside_the_table_is_listed(make_run):
    assert build([make_run('table1/common', kind='test')])['not_used'][0][1] == 'its config is none of the three heads'


def test_two_tests_of_the_same_weights_and_other_files_are_refused(zero_shot):
    with pytest.raises(InputError, match='different versions of the config'):
        build([zero_shot(), zero_shot(config_sha256='9' * 64)])
    with pytest.raises(InputError, match='different images or masks'):
        build([zero_shot(), zero_shot('fcn', split_sha256='9' * 64)])
