import pytest

from octfluid.inference.model import ModelInfo
from octfluid.reporting.model_card import MEASURES, describe_training, render_card

DOMAIN = {'device': 'A scanner', 'scale': '496x768 pixels', 'limits': ['Not for cysts.']}


def card(scores=(), domain=DOMAIN):
    info = dict(version='9.8', classes=('background', 'fluid'), threshold=0.35, weights_sha256='ab' * 32, licence='Ours.',
                domain=domain, scores=list(scores))  # fmt: skip
    return render_card(ModelInfo(**info), 'model.onnx', 'all ten subjects')


def test_the_card_says_what_the_model_is_for_and_on_what():
    text = card()
    assert 'For research only; not a medical device' in text
    for line in ('made for | A scanner', 'scale | 496x768 pixels', 'trained on | all ten subjects', 'terms | Ours.',
                 'weights | SHA-256 ' + 'ab' * 32, 'mask where it exceeds 0.35'):  # fmt: skip
        assert f'{line} |\n' in text, line
    # Without scores none are claimed.
    assert text.count('\n## ') == 1 and '\n## Limits\n\n* Not for cysts.\n* ' in text
    assert '| made for | unknown |\n| scale | unknown |\n' in card(domain={})


@pytest.mark.parametrize(('said', 'text'), [
    (('all', 'a.py', 900, 0), 'all scans of the data set (split `all`), with `a.py`, 900 iterations, seed 0'),
    (('paper', 'a.py', None, 2), 'the training scans of split `paper`, with `a.py`, seed 2'),
    ((None, 'a.py', None, None), 'unknown scans, with `a.py`'),
])  # fmt: skip
def test_what_weights_say_of_their_training(said, text):
    assert describe_training(*said) == text


def test_scores_are_percents_with_intervals():
    measures = {name: dict(value=0.1 * place, interval=[0, 0.5]) for place, name in enumerate(MEASURES)}
    one = dict(config='configs/a.py', protocol='leave-one-subject-out', variant='ensemble5', iterations=900, seeds=3,
               images=110, subjects=10, size=[496, 768], patients_seen=False, measures=measures)  # fmt: skip
    rows = [line.strip('| ').split(' | ') for line in card([one]).splitlines() if line.startswith('| `')]
    assert rows == [[
        '`configs/a.py`', 'leave-one-subject-out, ensemble5', 'no', '110 of 10 patients, 496x768', '3', '0.00 [0.00, 50.00]',
        '10.00 [0.00, 50.00]', '20.00 [0.00, 50.00]', '30.00 [0.00, 50.00]',
    ]]  # fmt: skip
