import re

import pytest

from octfluid.inference.model import ModelInfo
from octfluid.reporting.model_card import MEASURES, describe_training, render_card


def score(config='configs/duke_dme/compact.py', value=0.5, interval=(0.41234, 0.6), **changes):
    measures = {name: dict(value=value, interval=list(interval) if interval else None) for name in MEASURES}
    rests_on = dict(protocol='leave-one-subject-out', seeds=3, images=110, subjects=10, size=[496, 768], patients_seen=False)
    return {**rests_on, **dict(config=config, variant='', iterations=900, measures=measures), **changes}


def card(scores=(), **changes):
    info = dict(version='9.8', classes=('background', 'fluid'), threshold=0.35, weights_sha256='ab' * 32, licence='Ours.',
                domain=dict(device='A scanner', scale='496x768 pixels'), scores=list(scores))  # fmt: skip
    return render_card(ModelInfo(**{**info, **changes}), 'model.onnx', 'all ten subjects')


def rows(text):
    """The cells of each line of the table of scores."""
    section = text.partition('## How good')[2].partition('## Limits')[0]
    return [line.strip('| ').split(' | ') for line in section.splitlines() if line.startswith('|')]


def test_the_card_says_what_the_model_is_for_and_on_what():
    text = card()
    assert text.startswith('# model.onnx\n')
    assert 'For research only; not a medical device' in text
    told = ('made for | A scanner', 'scale | 496x768 pixels', 'trained on | all ten subjects', 'terms | Ours.',
            'weights | SHA-256 ' + 'ab' * 32, 'written by | octfluid 9.8', 'mask where it exceeds 0.35')  # fmt: skip
    for line in told:
        assert f'{line} |\n' in text, line
    assert '## Limits' in text


@pytest.mark.parametrize(('said', 'text'), [
    (('all', 'a.py', 900, 0), 'all scans of the data set (split `all`), with `a.py`, 900 iterations, seed 0'),
    (('paper', 'a.py', None, 2), 'the training scans of split `paper`, with `a.py`, seed 2'),
    ((None, 'a.py', None, None), 'unknown scans, with `a.py`'),
])  # fmt: skip
def test_what_weights_say_of_their_training(said, text):
    assert describe_training(*said) == text


def test_what_the_file_does_not_know_is_unknown():
    text = card(domain={})
    assert '| made for | unknown |' in text
    assert '| scale | unknown |' in text


def test_scores_are_percents_with_intervals():
    measures = {name: dict(value=value, interval=[value - 0.1, value + 0.025]) for name, value in
                zip(MEASURES, (0.51234, 0.6, 0.7, 0.8), strict=True)}  # fmt: skip
    header, _, cells = rows(card([score(measures=measures)]))
    assert header[-4:] == list(MEASURES.values())
    assert cells[:5] == ['`configs/duke_dme/compact.py`', 'leave-one-subject-out', 'no', '110 of 10 patients, 496x768', '3']
    assert cells[5:] == ['51.23 [41.23, 53.73]', '60.00 [50.00, 62.50]', '70.00 [60.00, 72.50]', '80.00 [70.00, 82.50]']


def test_each_line_of_the_table_has_as_many_cells():
    table = rows(card([score(), score(value=None, interval=None), score(interval=None, variant='tta')]))
    assert len(table) == 5
    assert {len(cells) for cells in table} == {9}
    assert re.fullmatch('-+', table[1][0])


def test_what_is_undefined_is_a_dash_and_what_has_no_interval_stands_alone():
    _, _, undefined, alone = rows(card([score(value=None, interval=None), score(value=0.25, interval=None)]))
    assert undefined[5:] == ['-'] * 4
    assert alone[5:] == ['25.00'] * 4


@pytest.mark.parametrize(('seen', 'said'), [(True, 'yes'), (False, 'no'), (None, 'unknown')])
def test_whether_the_scored_patients_were_seen_is_said(seen, said):
    assert rows(card([score(patients_seen=seen)]))[2][2] == said


def test_variant_and_several_sizes_are_said():
    cells = rows(card([score(variant='ensemble5', size=None)]))[2]
    assert cells[1] == 'leave-one-subject-out, ensemble5'
    assert cells[3] == '110 of 10 patients, several sizes'


def test_without_scores_none_are_claimed():
    text = card()
    assert 'How good' not in text
    assert 'Dice %' not in text
    assert '**not** scores of this very file' in card([score()])
