from octfluid.evaluation import table1, table2
from octfluid.evaluation.summary import sentences


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
    assert "1 of the paper's 11 rows have been run from vessel weights; row 10" in text
    assert '0.2000 for PSPNet on 1 scans with vessel weights trained here for 40 000 iterations (paper: 0.0022 on 110).' in text
