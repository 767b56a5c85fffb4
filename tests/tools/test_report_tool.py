import json

import pytest

from octfluid.records.record import write_record


@pytest.mark.parametrize(('change', 'named'), [
    (lambda text: text[: len(text) // 2], 'r.json'), (lambda text: text.replace('"mIoU": 0.', '"mIoU": 0.9'), 'metrics.mIoU'),
])  # fmt: skip
def test_a_broken_or_edited_record_is_one_line_and_status_2(run_tool, make_record, tmp_path, change, named):
    path = tmp_path / 'records/r.json'
    write_record(make_record(), path)
    path.write_text(change(path.read_text()))
    status, _, err = run_tool('report', tmp_path / 'records', '--out', tmp_path / 'out')
    assert (status, len(err)) == (2, 1) and named in err[0]
    assert not (tmp_path / 'out').exists()


def test_a_record_is_never_written_over(run_tool, tmp_path, make_record):
    (tmp_path / 'results.json').write_text(json.dumps(make_record()))
    before = (tmp_path / 'results.json').read_bytes()
    status, _, err = run_tool('report', tmp_path, '--out', tmp_path)
    assert status == 2 and 'results.json' in err[0]
    assert (tmp_path / 'results.json').read_bytes() == before
