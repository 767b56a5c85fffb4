import json

import pytest

from octfluid.engine.data_state import FILE, SCHEMA, changes, write_state

STATE = dict(schema=SCHEMA, split='paper', sizes=['native', 'native'], files={'train/a': ['1', '2'], 'val/b': ['3', '4']})


def test_what_has_changed_since_the_last_run(tmp_path):
    assert changes(tmp_path, STATE) is None
    write_state(tmp_path, STATE)
    assert changes(tmp_path, STATE) is None and changes(tmp_path, {**STATE, 'split': 'subject01'}) is None
    other = {**STATE, 'files': {'train/a': ['1', '2'], 'val/b': ['3', '5']}}
    assert changes(tmp_path, other) == f'1 of 2 scans are not those of the last run in {tmp_path} (the first: val/b)'


@pytest.mark.parametrize('text', [
    '{', '[' * 100000, '[]', '{}', *(json.dumps({**STATE, 'files': files}) for files in ([], [['a', 1]], None, 'ab')),
])  # fmt: skip
def test_a_damaged_list_is_told(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    said = changes(tmp_path, STATE)
    assert said == f'{tmp_path}/{FILE} is damaged, so that it cannot be told whether the scans are those of the last run'
