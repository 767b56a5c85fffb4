import pytest

from octfluid.inference.model import ModelInfo
from octfluid.reporting.model_card import MEASURES, describe_training, render_card


def score(value=0.5, interval=(0.41234, 0.6), **changes):
    measures = {name: dict(value=value, interval=list(interval) if interval else None) for name in MEASURES}
    rests_on = dict(protocol='leave-one-subject-out', seeds=3, images=110, subjects=10, size=[496, 768], patients_seen=False)
    return {**rests_on, **dict(config='configs/a.py', variant='', iterations=900, measures=measures), **changes}


def card(scores=(), domain=(('device', 'A scanner'), ('scale', '496x768 pixels'), ('limits', ['Not for cysts.'])), **changes):
    info = dict(version='9.8', classes=('background', 'fluid'), threshold=0.35, weights_sha256='ab' * 32, licence='Ours.',
                domain=dict(domain), scores=list(scores))  # fmt: skip
    return render_card(ModelInfo(**info), 'model.onnx', 'all ten subjects', **changes)


def test_the_card_says_what_the_model_is_for_and_on_what():
    text = card(precision='8 bits')
    assert text.startswith('# model.onnx\n\nOutlines fluid') and 'For research only; not a medical device' in text
    told = ('made for | A scanner', 'scale | 496x768 pixels', 'trained on | all ten subjects', 'terms | Ours.',
            'precision | 8 bits', 'weights | SHA-256 ' + 'ab' * 32, 'written by | octfluid 9.8',
            'mask where it exceeds 0.35')  # fmt: skip
    for line in told:
        assert f'{line} |\n' in text, line
    # Without scores none are claimed.
    assert text.count('\n## ') == 1 and '\n## Limits\n\n* Not for cysts.\n* ' in text
    unknown = card(domain=())
    assert '| made for | unknown |\n| scale | unknown |\n' in unknown and 'precision' not in unknown


@pytest.mark.parametrize(('said', 'text'), [
    (('all', 'a.py', 900, 0), 'all scans of the data set (split `all`), with `a.py`, 900 iterations, seed 0'),
    (('paper', 'a.py', None, 2), 'the training scans of split `paper`, with `a.py`, seed 2'),
    ((None, 'a.py', None, None), 'unknown scans, with `a.py`'),
])  # fmt: skip
def test_what_weights_say_of_their_training(said, text):
    assert describe_training(*said) == text


def test_scores_are_percents_with_intervals():
    pairs = zip(MEASURES, (0.51234, 0.6, 0.7, 0.8), strict=True)
    measures = {name: dict(value=value, interval=[value - 0.1, value + 0.025]) for name, value in pairs}
    text = card([score(measures=measures), score(None, None, patients_seen=True),
                 score(0.25, None, variant='ensemble5', size=None, patients_seen=None)])  # fmt: skip
    section = text.partition('## How good')[2].partition('\n## Limits')[0]
    header, line, *rows = [cells.strip('| ').split(' | ') for cells in section.splitlines() if cells.startswith('|')]
    assert header[-4:] == list(MEASURES.values()) and line == ['---'] * 9
    assert rows == [
        ['`configs/a.py`', 'leave-one-subject-out', 'no', '110 of 10 patients, 496x768', '3',
         '51.23 [41.23, 53.73]', '60.00 [50.00, 62.50]', '70.00 [60.00, 72.50]', '80.00 [70.00, 82.50]'],
        ['`configs/a.py`', 'leave-one-subject-out', 'yes', '110 of 10 patients, 496x768', '3', *['-'] * 4],
        ['`configs/a.py`', 'leave-one-subject-out, ensemble5', 'unknown', '110 of 10 patients, several sizes', '3',
         *['25.00'] * 4],
    ]  # fmt: skip
    assert '**not** scores of this very file' in section
