import pytest

from octfluid.reporting import table1, table2
from octfluid.reporting.summary import sentences


def said(rows=(), zero_shot=()):
    return sentences({'table1': table1.build(zero_shot), 'table2': table2.build(rows)})


def test_nothing_run():
    text = said()
    assert "0 of the paper's 11 rows" in text and '76.00 / 84.30, has not been run.' in text
    assert text.endswith('Table 1, the same networks before fine-tuning, has not been run.')


def test_short_source_training_is_said(row_runs, own, of_dice, make_run):
    short = own('pspnet', 1000, 'a')
    text = said(row_runs(10, [50], init=short) + row_runs(6, [50], init=short) + row_runs(10, [0, 0, 0]))
    assert "2 of the paper's 11 rows have been run from vessel weights, all trained for less than" in text
    # A Dice of 50 % is an IoU of 1/3; the background has 65386 of 65536 + 200 pixels right.
    assert 'from vessel weights trained here for 1 000 iterations (n = 1)' in text
    assert 'from random weights (n = 3).' in text


def test_full_length_and_table_1(row_runs, own, make_run):
    zero_shot = make_run(
        'table1/pspnet', [(10, 10, 30, 50)], kind='test', split='all', iterations=0, init=own('pspnet'), history=[]
    )
    text = said(row_runs(10, [50, 50, 50], init=own('pspnet')), [zero_shot])
    assert "1 of the paper's 11 rows has been run from vessel weights; row 10" in text
    assert '0.2000 for PSPNet on 1 scans with vessel weights trained here for 40 000 iterations (paper: 0.0022 on 110).' in text


@pytest.mark.parametrize(('lengths', 'words'), [
    ([80000], "all trained for more than the paper's 40 000 iterations"),
    ([None], "none of them known to have been trained for the paper's 40 000 iterations"),
    ([1000, 80000], "none of them known to have been trained for the paper's 40 000 iterations"),
    ([1000, 4000], "all trained for less than the paper's 40 000 iterations"),
    ([], 'vessel weights; row 10'),
])  # fmt: skip
def test_the_length_of_source_training_is_said_as_far_as_it_is_known(row_runs, own, lengths, words):
    runs = row_runs(10, [0])
    for length, digit in zip(lengths, 'abc', strict=False):
        init = own('pspnet', length, digit) if length else own() | {'name': 'mine.safetensors'}
        runs += row_runs(6, [50], init=init)
    assert words in said(runs)


def test_rows_from_the_whole_source_training_are_told_from_others(row_runs, own):
    short = own('pspnet', 1000, 'a')
    text = said(row_runs(10, [50], init=own()) + row_runs(6, [50], init=short) + row_runs(10, [50], init=short))
    assert "2 of the paper's 11 rows have been run from vessel weights, 1 of them from weights trained for" in text


def test_several_files_of_a_head_are_told_apart(own, make_run):
    runs = [
        make_run('table1/pspnet', kind='test', split='all', iterations=0, init=init, checkpoint_sha256=init['sha256'])
        for init in (own(), own(digit='a'))
    ]
    text = said((), runs)
    assert '40 000 iterations (`aaaaaaaa`) (paper' in text and '40 000 iterations (`eeeeeeee`) (paper' in text
