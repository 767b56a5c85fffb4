import re

import pytest

from octfluid.records.record import validate_record
from octfluid.utils.errors import InputError

BOTH, MISSED, NEITHER = (30, 10, 20, 65476), (0, 0, 20, 65516), (0, 0, 0, 65536)


@pytest.mark.parametrize(('counts', 'extra', 'message'), [
    (BOTH, {'hd95_px': None}, 'extra.hd95_px is None; expected a number, as its counts have it'),
    (MISSED, {'hd95_px': 3.0}, 'extra.hd95_px is 3.0; expected null, as its counts have it'),
    (BOTH, {'hd95_px': 1e308}, 'extra.hd95_px is 1e+308; expected at most the diagonal of the image, 362.0'),
    (MISSED, {'surface_dice_1px': None}, 'extra.surface_dice_1px is None; expected a number, as its counts have it'),
    (NEITHER, {'surface_dice_2px': 0.0}, 'extra.surface_dice_2px is 0.0; expected null, as its counts have it'),
    (BOTH, {'pockets': dict(true=0, found=0, predicted=1, right=1)}, 'extra.pockets.true is 0; expected what 50 pixels'),
    (BOTH, {'pockets': dict(true=1, found=1, predicted=41, right=1)}, 'extra.pockets.predicted is 41; expected what 40 pixels'),
])  # fmt: skip
def test_what_only_masks_tell_must_fit_the_counts(make_record, counts, extra, message):
    record = make_record([counts, (1, 0, 0, 65535)])
    record['images'][0]['extra'] = extra
    with pytest.raises(InputError, match=re.escape(message)):
        validate_record(record, 'x.json')


@pytest.mark.parametrize('field', ['config', 'device'])
def test_texts_are_of_one_line(make_record, field):
    for odd in ('one\n# two', 'one\x1b[31m', '\0'):
        with pytest.raises(InputError, match=f'field {field} is '):
            validate_record(make_record(**{field: odd}), 'x.json')
