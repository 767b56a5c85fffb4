import json

import pytest
from speed_page import cells

from octfluid.reporting.prediction_page import SCHEMA, read_checks, render
from octfluid.utils.errors import InputError

GUARD = dict(schema=SCHEMA, kind='guard', found=[
    dict(scans='some', number=8, warned=2, kinds={'upside down': 1, 'unlike': 1}),
    dict(scans='others', number=4, warned=0, kinds={}),
])  # fmt: skip
AREAS = dict(schema=SCHEMA, kind='areas', found=[
    dict(subject=3, bscans=61, fluid_mm3=0.12345, graded=[
        dict(bscan=10, found_mm2=0.1, graded_mm2=0.2, dice=0.5),
        dict(bscan=12, found_mm2=0.0, graded_mm2=0.0, dice=None),
    ]),
])  # fmt: skip

INT8 = dict(schema=SCHEMA, kind='int8', device='2 cores', found=[
    dict(scans=110, pixels=0.000129, dice=[0.7254, 0.7252], milliseconds=[80.04, 40], megabytes=[5.44, 2.87]),
])  # fmt: skip


def put(folder, *contents):
    for content in contents:
        (folder / f'{content["kind"]}.json').write_text(json.dumps(content))
    return folder


def test_the_page_by_hand(tmp_path):
    page = render(read_checks(put(tmp_path, GUARD, AREAS)))
    assert cells(page, 'Does it notice scans that it was not made for?') == [
        ['some', '8', '2 (25 %)', 'unlike: 1, upside down: 1'], ['others', '4', '0 (0 %)', '-'],
    ]  # fmt: skip
    subject, _, _, first, second = cells(page, 'Areas and volumes of the Duke subjects')
    assert subject == ['3', '61', '0.123', '2', '0.100', '0.200', '0.500']
    assert (first, second) == (['10', '0.1000', '0.2000', '0.500'], ['12', '0.0000', '0.0000', '-'])


def test_without_checks_all_is_pending(tmp_path):
    page = render(read_checks(tmp_path))
    assert page.count('| pending |') == 3


WRONG = ['{', '[' * 100000, '[]', '{}', json.dumps({**GUARD, 'schema': 'x'}), json.dumps({**GUARD, 'kind': 'areas'})]


@pytest.mark.parametrize('text', WRONG)
def test_other_files_are_one_line(tmp_path, text):
    (tmp_path / 'guard.json').write_text(text)
    with pytest.raises(InputError, match=r'guard\.json: ') as raised:
        read_checks(tmp_path)
    assert '\n' not in str(raised.value)


def places(value, path=()):
    """Yield the path of every value within JSON, the deepest first."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield from places(item, (*path, key))
        yield (*path, key)


ODD = [None, True, -1, 0, 10**400, 1e308, '', 'x', 'a | b\n# c', [], [None], {}, {'a': 1}, {'': 'x'}, ...]


@pytest.mark.parametrize('good', [GUARD, AREAS, INT8], ids=lambda good: good['kind'])
def test_whatever_a_file_holds_it_is_shown_or_refused_in_one_line(tmp_path, good):
    refused = shown = 0
    for *path, last in places(good):
        for odd in ODD:
            content = json.loads(json.dumps(good))
            target = content
            for key in path:
                target = target[key]
            if odd is ...:
                del target[last]
            else:
                target[last] = odd
            (tmp_path / f'{good["kind"]}.json').write_text(json.dumps(content))
            try:
                page = render(read_checks(tmp_path))
                shown += 1
                assert '\n# c' not in page
            except InputError as error:
                refused += 1
                assert f'{good["kind"]}.json: no check of predictions' in str(error) and '\n' not in str(error)
    assert refused > shown > 0


def test_no_scan_to_warn_of_is_a_dash(tmp_path):
    page = render(read_checks(put(tmp_path, {**GUARD, 'found': [dict(scans='none', number=0, warned=0, kinds={})]})))
    assert cells(page, 'Does it notice scans that it was not made for?') == [['none', '0', '-', '-']]


def test_8_bits_beside_float32(tmp_path):
    page = render(read_checks(put(tmp_path, INT8)))
    assert cells(page, 'What 8 bits cost and gain') == [
        ['float32 (shipped)', '0.7254', '80.0', '5.4', '-'], ['8 bits (`--int8`)', '0.7252', '40.0', '2.9', '0.0129%'],
    ]  # fmt: skip
    assert '110 graded B-scans; 2 cores.' in page
