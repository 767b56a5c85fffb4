from pathlib import Path

import pytest

from octfluid.reporting.ablations import build, expected
from octfluid.reporting.pages import render_page
from octfluid.utils.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def render(table):
    return render_page('ablations.md', {'ablations': table}, linked=False)


def test_the_expected_ones_are_the_configs_there_are():
    assert sorted(expected()) == sorted(path.stem for path in (ROOT / 'configs/ablations').glob('*.py'))
    assert expected()['row10_4000'] == {'title': '4 000 iterations', 'head': 'pspnet', 'iterations': 4000}


def test_an_ablation_stands_beside_row_10_from_the_same_weights(row_runs, own, rows_below):
    table = build(row_runs('rotate15', [70, 72, 74], own()),
                  row_runs(10, [60, 61, 62], own()) + row_runs(10, [10], own(iterations=1000, digit='a')))  # fmt: skip
    assert list(table['sections']) == ['hrf-own-40000i']
    gap = table['sections']['hrf-own-40000i']['runs']['rotate15']['difference']['Dice']
    # Differences 10, 11, 12: mean 11, SD 1.
    half = 4.302653 / 3**0.5 / 100
    assert gap['interval'] == pytest.approx([0.11 - half, 0.11 + half], abs=1e-6)
    reference, rotated, *others = rows_below(render(table), 'From HRF vessel weights trained here, 40 000')
    assert reference[:2] == ['row 10', 'reference'] and reference[4] == '61.00 ± 1.00'
    assert (rotated[0], rotated[4], rotated[6], rotated[7]) == ('`rotate15`', '72.00 ± 2.00', 'n = 3', '+11.00 [+8.52, +13.48]')
    assert len(others) == len(expected()) - 1 and all('not run' in line for line in others)


def test_without_the_reference_and_from_scratch(row_runs, own, rows_below):
    reference, rotated, *_ = rows_below(render(build(row_runs('rotate15', [70], own()), [])), 'From HRF')
    assert reference[2] == 'not run' and rotated[-2:] == ['-', '-']
    # From scratch only the longer training is asked for.
    lines = rows_below(render(build(row_runs('row10_4000', [50]), row_runs(10, [0]))), 'From scratch')
    assert [(line[0], line[-2]) for line in lines] == [('row 10', '-'), ('`row10_4000`', '+50.00')]


def test_row_10_by_length_takes_every_length_and_mixes_none(row_runs, own, zoo_weights, rows_below):
    row10 = row_runs(10, [0]) + row_runs(10, [10, 20], own(iterations=1000, digit='a')) + row_runs(10, [60], own())
    row10 += row_runs(10, [70], zoo_weights)
    table = build(row_runs('row10_4000', [80], own()), row10)
    assert [(line['start'], line['short'] and line['short']['n']) for line in table['by_length']] == [
        ('scratch', 1), ('hrf-own-1000i', 2), ('hrf-own-40000i', 1), ('hrf-zoo-40000i', 1)]  # fmt: skip
    lines = [(line[2], line[4]) for line in rows_below(render(table), 'Row 10 by length')]
    assert lines[1:3] == [('15.00 ± 7.07 (n = 2)', 'not run'), ('60.00 (n = 1)', '80.00 (n = 1)')]


def test_heads_have_weights_of_their_own_and_the_rest_share_row_10s(row_runs, own):
    row10 = row_runs(10, [60], own())
    assert build(row_runs('fcn_head', [50], own('fcn', digit='a')), row10)['sections']['hrf-own-40000i']['runs']
    with pytest.raises(InputError, match=r'10_crop320_wd1e-4_0\.json.*rotate15_0\.json'):
        build(row_runs('rotate15', [50], own(digit='a')), row10)
    with pytest.raises(InputError, match='split_sha256'):
        build(row_runs('rotate15', [50], own(), split_sha256='9' * 64), row10)
