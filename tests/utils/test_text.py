import os

import pytest

from octfluid.utils.errors import InputError
from octfluid.utils.text import read_json, read_text


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / 'a.json'
    path.write_bytes(b'{"\xc2\xb5":\r\n [1, null]}')
    assert read_text(path) == '{"\u00b5":\n [1, null]}'
    assert read_json(path) == {'\u00b5': [1, None]}
    path.write_bytes(b'\xef\xbb\xbfname')
    assert read_text(path, 'utf-8-sig') == 'name'


@pytest.mark.parametrize(('content', 'said'), [
    (b'{"a": 1,\n}', 'line 2 column 1'), (b'', 'line 1 column 1'), (b'[' * 100000, 'recursion'), (b'9' * 5000, 'limit'),
    (b'[NaN]', 'NaN'), (b'[-Infinity]', '-Infinity'), (b'"\xff"', 'UTF-8 at byte 1'),
])  # fmt: skip
def test_what_is_no_json_is_one_line(tmp_path, content, said):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_json(path)
    assert str(caught.value).startswith(f'{path}: ') and '\n' not in str(caught.value)


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'device').symlink_to('/dev/zero')
    for name in ('pipe', 'device', 'no', ''):
        with pytest.raises(InputError, match=f'{name}: .* expected a file'):
            read_text(tmp_path / name)
