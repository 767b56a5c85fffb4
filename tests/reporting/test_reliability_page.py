import json

import pytest

from octfluid.reporting.reliability_page import SCHEMA, read_faults, render_block
from octfluid.reporting.report import default_reliability, write_report
from octfluid.utils.errors import InputError

ROW = dict(what='kill -9 in training', tried=50, held=50, command='pytest -k kill', details=dict(slowest_s=1.25, files=12000),
           date='2026-11-26', device='2 CPU cores', budget='full')  # fmt: skip


def put(folder, kind, /, *rows, **changes):
    folder.mkdir(exist_ok=True)
    (folder / f'{kind}.json').write_text(json.dumps(dict(schema=SCHEMA, kind=kind, rows=rows) | changes))
    return folder


def test_the_block_by_hand(tmp_path):
    put(tmp_path, 'fuzz', dict(ROW, what='PNG', tried=20000, held=19999, command='pytest -k fuzz', details={}))
    text = render_block(read_faults(put(tmp_path, 'crash', ROW, dict(ROW, what='kill -9 in conversion'))))
    assert text.startswith('20 099 of 20 100 held.\n')
    assert '| kill -9 in training | 50 | 50 | slowest s 1.25, files 12 000 |\n' in text
    assert '| PNG | 20 000 | 19 999 | - |\n' in text
    assert text.index('Processes killed') < text.index('Mutated inputs')
    assert text.count('pytest -k kill\n') == 1 and '2026-11-26, 2 CPU cores:' in text


def test_the_report_rewrites_the_block_and_nothing_else(tmp_path):
    page = tmp_path / 'docs/reliability.md'
    page.parent.mkdir()
    page.write_text('before\n<!-- results:begin -->\nold\n<!-- results:end -->\nafter\n')
    out = tmp_path / 'docs/results'
    assert default_reliability(out) == page
    write_report([], out, faults=read_faults(put(tmp_path / 'r', 'crash', ROW)))
    text = page.read_text()
    assert text.startswith('before\n<!-- results:begin -->\n50 of 50 held.') and text.endswith('<!-- results:end -->\nafter\n')
    assert 'old' not in text
    assert default_reliability(tmp_path / 'elsewhere/pages') is None


@pytest.mark.parametrize('changes', [
    {'schema': 'x'}, {'kind': 'fuzz'}, {'rows': [{}]}, {'rows': [dict(ROW, tried='many')]}, {'rows': 3},
    {'rows': [dict(ROW, device='one\n# two')]}, {'rows': [7]},
])  # fmt: skip
def test_other_files_are_one_line(tmp_path, changes):
    with pytest.raises(
        InputError, match=r'crash\.json: no record of faults, write it again with the fault tests: field '
    ) as caught:
        read_faults(put(tmp_path, 'crash', ROW, **changes))
    assert '\n' not in str(caught.value)


def test_json_that_python_cannot_take_is_one_line(tmp_path):
    (tmp_path / 'crash.json').write_text('[' * 100000)
    with pytest.raises(InputError, match=r'crash\.json: JSON that octfluid does not write'):
        read_faults(tmp_path)
