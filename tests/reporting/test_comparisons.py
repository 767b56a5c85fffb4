import pytest

from octfluid.reporting import ablations, table2
from octfluid.reporting.comparisons import judge_conclusions, leakage_verdict, verdict
from octfluid.reporting.pages import render_page
from octfluid.reporting.published import read_published

CLAIMS = read_published('paper_conclusions.csv')


def group(*dice):
    return {'n': len(dice), 'seeds': list(range(len(dice))), 'Dice': {'values': [value / 100 for value in dice]}}


# Differences of 1, 2 and 3 points: mean 2, interval 2 +- 2.48. Of 11, 12 and 13 points: 12 +- 2.48.
@pytest.mark.parametrize(('direction', 'arm', 'reference', 'expected'), [
    ('higher', (61, 62, 63), (50, 50, 50), 'holds'),
    ('higher', (50, 50, 50), (61, 62, 63), 'contradicted'),
    ('higher', (51, 52, 53), (50, 50, 50), 'not settled'),
    ('lower', (50, 50, 50), (61, 62, 63), 'holds'),
    ('lower', (61, 62, 63), (50, 50, 50), 'contradicted'),
    ('lower', (51, 52, 53), (50, 50, 50), 'not settled'),
    ('no better', (50, 50, 50), (61, 62, 63), 'holds'),
    ('no better', (50.1, 50.2, 50.3), (50.2, 50.2, 50.2), 'holds'),  # 0 +- 0.25 points, less than one point of gain
    ('no better', (51, 52, 53), (52, 52, 52), 'not settled'),  # 0 +- 2.48 points
    ('no better', (50.4, 50.5, 50.6), (50, 50, 50), 'contradicted'),
    ('fails', (0, 4.9, 0), (60, 70, 80), 'holds'),
    ('fails', (6, 6, 6), (70, 70, 70), 'contradicted'),
    ('fails', (0, 60, 60), (70, 70, 70), 'not settled'),
    ('fails', (0, 0, 0), (0, 4, 0), 'not settled'),
    ('no better', (0, 0, 0), (0, 0, 0), 'not settled'),
    ('higher', (60,), (50, 50, 50), 'no verdict (one seed)'),
    ('fails', (0, 0), (50, 50, 50), 'no verdict (too few seeds)'),
])  # fmt: skip
def test_verdicts_follow_from_the_runs(direction, arm, reference, expected):
    assert verdict(direction, group(*arm), group(*reference)) == expected


def judge(table2_runs, ablation_runs=()):
    rows = table2.build(table2_runs)
    return judge_conclusions(rows, ablations.build(ablation_runs, table2_runs))


def shown(content):
    return render_page('what_holds_up.md', {'holds_up': content, 'estimates': {'comparisons': []}})


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
    assert found['row 9 minus row 6'] == ([0, 3], 'not run')
    text = shown(content)
    lines = {line[1]: line for line in rows_below(text, 'From HRF vessel weights trained here, 40 000')}
    # The paper: 68.83 - 68.26 and 76.00 - 75.67. Ours: differences 0, 1, 2 of the fluid Dice.
    assert lines['row 10 minus row 6'][2:5] == ['+0.57', '+1.00 [-1.48, +3.48]', '+0.33']
    assert lines['row 10 minus row 10 from scratch'][2] == '-'
    # Each conclusion is in the table or, in one sentence with the paper's difference, in the list.
    assert len(lines) == 5 and sum(text.count(f'- {claim["text"]}: ') for claim in CLAIMS) == len(CLAIMS) - 5
    assert 'row 9 minus row 6; the paper: -68.26 fluid Dice, -26.04 mIoU.' in text


def test_both_sides_start_from_the_same_weights_and_may_differ_in_precision(row_runs, own, rows_below):
    short = own(iterations=1000, digit='a')
    exact = row_runs(6, [50, 51, 52], short, precision='fp32', device='a GPU')
    content = judge(row_runs(6, [60, 61, 62], own()) + row_runs(2, [40, 41, 42], short) + exact)
    found = {key: {item['compared']: item['verdict'] for item in items} for key, items in content['sections'].items()}
    assert list(found) == ['hrf-own-40000i', 'hrf-own-1000i']
    assert [of['row 6 minus row 2'] for of in found.values()] == ['not run', 'holds']
    (line,) = rows_below(shown(content), 'From HRF vessel weights trained here, 1 000')
    assert line[-1] == 'holds; runs differ in device and precision'


@pytest.mark.parametrize(('interval', 'p', 'note', 'told'), [
    ([0.01, 0.2], 0.04, '', "the paper's split flatters"),
    ([0.01, 0.2], 0.06, '', 'p is above 0.05: not settled'),
    ([0.01, 0.2], 0.04, 'on 20 of the 22 images', 'folds are missing: no verdict'),
    ([-0.01, 0.2], 0.04, '', 'contains 0: not settled'),
    ([-0.2, -0.01], 0.04, '', "the paper's split does not flatter"),
    (None, None, '', 'fewer than 5 patients are in it: no verdict'),
])  # fmt: skip
def test_leakage_is_judged_by_interval_and_p_together(interval, p, note, told):
    assert leakage_verdict({'interval': interval, 'p_holm': p, 'note': note}).endswith(told)
