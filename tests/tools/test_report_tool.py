import json

import pytest

from octfluid.records.record import published_path, write_record


@pytest.mark.slow
def test_two_reports_from_two_places_are_equal_byte_for_byte(run_tool, make_record, hrf_weights, tmp_path, monkeypatch):
    for folder in ('a/records', 'b/deeper/records'):
        for seed in range(3):
            record = make_record([(30 + seed, 10, 20 - seed, 65476)], seed=seed, init=hrf_weights)
            write_record(record, tmp_path / folder / published_path(record))
    monkeypatch.chdir(tmp_path / 'a')
    status, said, _ = run_tool('report', 'records', '--out', 'out')
    assert status == 0 and said.startswith('3 run records read\n')
    assert run_tool('report', tmp_path / 'b/deeper/records', '--out', tmp_path / 'b/out')[0] == 0
    written = [path.relative_to(tmp_path / 'a/out') for path in (tmp_path / 'a/out').rglob('*') if path.is_file()]
    pages = ['ablations.md', 'recipes.md', 'speed.md', 'table2.md', 'what_holds_up.md']
    assert sorted(map(str, written)) == sorted([*pages, 'figures/loss_table2.png', 'report.html', 'results.json'])
    for name in written:
        content = (tmp_path / 'a' / 'out' / name).read_bytes()
        assert content == (tmp_path / 'b' / 'out' / name).read_bytes()
        assert str(tmp_path).encode() not in content


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
