import pytest

from octfluid.reporting import ablations, table2
from octfluid.reporting.claims import CLAIMS, HIGHER, LOWER, NO_BETTER
from octfluid.reporting.holds_up import build, counts_line, render, verdict, verdict_of_failure


def within(low, high):
    return {'difference': (low + high) / 2, 'interval': [low, high], 'n': [3, 3]}


@pytest.mark.parametrize(('direction', 'low', 'high', 'expected'), [
    (HIGHER, 0.01, 0.05, 'holds'),
    (HIGHER, -0.05, -0.01, 'contradicted'),
    (HIGHER, -0.01, 0.05, 'not settled'),
    (HIGHER, 0.0, 0.05, 'not settled'),
    (LOWER, -0.05, -0.01, 'holds'),
    (LOWER, 0.01, 0.05, 'contradicted'),
    (LOWER, -0.05, 0.01, 'not settled'),
    (NO_BETTER, -0.05, -0.01, 'holds'),
    (NO_BETTER, -0.05, 0.009, 'holds'),
    (NO_BETTER, -0.05, 0.01, 'not settled'),
    (NO_BETTER, 0.001, 0.005, 'contradicted'),
])  # fmt: skip
def test_verdicts_follow_from_the_interval(direction, low, high, expected):
    assert verdict(direction, within(low, high)) == expected


def test_no_verdict_without_spread_or_without_any_fluid():
    assert verdict(HIGHER, {'interval': None, 'n': [1, 3]}) == 'no verdict (one seed)'
    assert verdict(HIGHER, {'interval': None, 'n': [3, 2]}) == 'no verdict (too few seeds)'
    assert verdict(NO_BETTER, within(0, 0), fluid_outlined=False).startswith('not settled (no fluid')
    assert verdict(HIGHER, None) == 'not settled'


def group(*dice):
    return {'n': len(dice), 'seeds': list(range(len(dice))), 'Dice': {'values': list(dice)}}


@pytest.mark.parametrize(('arm', 'reference', 'expected'), [
    ((0.0, 0.0, 0.0), (0.6, 0.7, 0.8), 'holds'),
    ((0.0, 0.049, 0.0), (0.6, 0.7, 0.8), 'holds'),
    # Below row 6 by far, but half of the fluid is outlined: mean 0.5, interval 0.5 +- 4.30 x 0.01 / sqrt(3).
    ((0.49, 0.5, 0.51), (0.7, 0.7, 0.7), 'contradicted'),
    # One seed fails, two do not: mean 0.4, interval from -0.46.
    ((0.0, 0.6, 0.6), (0.7, 0.7, 0.7), 'not settled'),
    ((0.06, 0.06, 0.06), (0.7, 0.7, 0.7), 'contradicted'),
    ((0.05, 0.05, 0.05), (0.7, 0.7, 0.7), 'not settled'),
    ((0.0, 0.0, 0.0), (0.0, 0.04, 0.0), 'not settled (the other side fails too)'),
    ((0.0, 0.0), (0.7, 0.7, 0.7), 'no verdict (too few seeds)'),
    ((0.0,), (0.7, 0.7, 0.7), 'no verdict (one seed)'),
    ((0.0, None, 0.0), (0.7, 0.7, 0.7), 'not settled'),
])  # fmt: skip
def test_failing_is_judged_by_the_runs_themselves(arm, reference, expected):
    assert verdict_of_failure(group(*arm), group(*reference)) == expected


def judge(table2_runs, ablation_runs=()):
    rows = table2.build(table2_runs)
    return build(rows, ablations.build(ablation_runs, table2_runs))


def claim(sections, key, compared):
    return next(item for item in sections['sections'][key] if item['compared'] == compared)


def test_conclusions_from_runs(row_runs, own, rows_below):
    runs = row_runs(10, [60, 62, 64], own()) + row_runs(10, [0, 1, 2]) + row_runs(6, [60, 61, 62], own())
    runs += row_runs(2, [70], own()) + row_runs(7, [70, 71, 72], own())
    content = judge(runs, row_runs('rotate15', [50, 52, 54], own()))
    assert list(content['sections']) == ['hrf-own-40000i']
    found = {item['compared']: (item['n'], item['verdict']) for item in content['sections']['hrf-own-40000i']}
    assert found['row 10 minus row 10 from scratch'] == ([3, 3], 'holds')
    assert found['row 6 minus row 2'] == ([3, 1], 'no verdict (one seed)')
    assert found['row 7 minus row 6'] == ([3, 3], 'contradicted')
    assert found['row 10 minus row 6'] == ([3, 3], 'not settled')
    assert found['`rotate15` minus row 10'] == ([3, 3], 'contradicted')
    assert found['row 9 minus row 6'] == ([0, 3], 'pending')
    lines = {line[1]: line for line in rows_below(render(content), 'From HRF vessel weights trained here, 40 000')}
    # The paper: 84.30 / 84.01, 76.00 / 75.67. Ours: differences 0, 1, 2 of the fluid Dice.
    assert lines['row 10 minus row 6'][2:4] == ['+0.57', '+1.00 [-1.48, +3.48]']
    assert lines['row 10 minus row 6'][4] == '+0.33'
    assert lines['row 10 minus row 10 from scratch'][2] == '-'
    assert len(lines) == len(CLAIMS)


def test_both_sides_start_from_the_same_weights(row_runs, own):
    short = own(iterations=1000, digit='a')
    content = judge(row_runs(6, [60, 61, 62], own()) + row_runs(2, [40, 41, 42], short) + row_runs(6, [50, 51, 52], short))
    assert list(content['sections']) == ['hrf-own-40000i', 'hrf-own-1000i']
    assert claim(content, 'hrf-own-40000i', 'row 6 minus row 2')['verdict'] == 'pending'
    assert claim(content, 'hrf-own-1000i', 'row 6 minus row 2')['verdict'] == 'holds'
    text = render(content)
    assert "These weights are not the paper's" in text.split('1 000 iterations (`hrf-own`)')[1]
    assert f'Pending: {len(CLAIMS) - 1} further conclusions.' in text


def test_a_fallen_network_settles_nothing(row_runs, own):
    content = judge(row_runs(7, [0, 0, 0], own()) + row_runs(6, [0, 0, 0], own()))
    item = claim(content, 'hrf-own-40000i', 'row 7 minus row 6')
    assert item['ours']['Dice']['interval'] == [0.0, 0.0] and item['verdict'].startswith('not settled (no fluid')


def test_without_runs_every_conclusion_is_pending_with_the_papers_difference():
    content = judge([])
    (judged,) = content['sections'].values()
    assert counts_line(judged) == f'{len(CLAIMS)} pending'
    item = claim(content, 'hrf-40000i', 'row 6 minus row 2')
    assert item['paper'] == {'Dice': pytest.approx(0.2452), 'mIoU': pytest.approx(0.1196)}
    assert claim(content, 'hrf-40000i', 'row 11 minus row 6')['paper']['Dice'] is None


def test_adam_somewhat_below_row_6_has_not_failed(row_runs, own, rows_below):
    content = judge(row_runs(6, [60, 61, 62], own()) + row_runs(9, [58, 59, 60], own()))
    item = claim(content, 'hrf-own-40000i', 'row 9 minus row 6')
    assert item['ours']['Dice']['interval'][1] < 0 and item['verdict'] == 'contradicted'
    line = next(line for line in rows_below(render(content), 'From HRF') if line[1] == 'row 9 minus row 6')
    # Mean 59, SD 1, and 4.302653 / sqrt(3) = 2.48.
    assert line[-1] == 'contradicted; by itself 59.00 [56.52, 61.48]'


def test_sides_in_different_precision_are_judged_and_marked(row_runs, own, rows_below):
    rough, exact = row_runs(6, [60, 61, 62], own()), row_runs(2, [40, 41, 42], own(), precision='fp32', device='a GPU')
    content = judge(rough + exact)
    item = claim(content, 'hrf-own-40000i', 'row 6 minus row 2')
    assert (item['verdict'], item['differ_in']) == ('holds', ['device', 'precision'])
    line = next(line for line in rows_below(render(content), 'From HRF') if line[1] == 'row 6 minus row 2')
    assert line[-1] == 'holds; runs differ in device and precision'
    assert counts_line([item]) == '1 holds'
    assert claim(judge(rough), 'hrf-own-40000i', 'row 6 minus row 2')['differ_in'] == []


@pytest.mark.parametrize(('length', 'words'), [
    (80000, 'source training was longer'),
    (None, "is not known; the paper's had 40 000 iterations"),
])  # fmt: skip
def test_a_source_training_that_was_not_shorter_is_not_called_so(row_runs, own, length, words):
    init = own(iterations=length, digit='a') if length else own() | {'name': 'mine.safetensors'}
    text = render(judge(row_runs(6, [60], init)))
    assert words in text and 'shorter' not in text
