import json

import pytest

from octfluid.engine.interrupted import MARK, SCHEMA, find_marks, write_mark


@pytest.mark.parametrize(
    'text',
    [
        '{',
        '[' * 100000,
        '[]',
        json.dumps({'schema': SCHEMA}),
        json.dumps({'schema': SCHEMA, 'iteration': 'x\n', 'iterations': 9}),
    ],
)
def test_what_is_no_mark_is_passed_over(tmp_path, text):
    for name in 'ab':
        (tmp_path / name).mkdir()
        write_mark(tmp_path / name, dict(iteration=3, iterations=9))
    (tmp_path / 'a' / MARK).write_text(text)
    assert find_marks([tmp_path, tmp_path]) == [(tmp_path / 'b' / MARK, dict(schema=SCHEMA, iteration=3, iterations=9))]
