import json

from faults import ledger


def test_a_row_takes_the_place_of_an_earlier_one_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv('OCTFLUID_FAULTS_RECORD', str(tmp_path))
    ledger.note('crash', 'first', 3, 2, 'a command')
    ledger.note('crash', 'second', 1, 1, 'another')
    ledger.note('crash', 'first', 5, 5, 'a command', seconds=2)
    rows = json.loads((tmp_path / 'crash.json').read_text())['rows']
    assert [(row['what'], row['tried'], row['held']) for row in rows] == [('first', 5, 5), ('second', 1, 1)]
    assert rows[0]['details'] == {'seconds': 2} and len(rows[0]['source_sha256']) == 64


def test_nothing_is_written_where_nobody_asks(tmp_path, monkeypatch):
    monkeypatch.delenv('OCTFLUID_FAULTS_RECORD', raising=False)
    monkeypatch.chdir(tmp_path)
    ledger.note('crash', 'first', 3, 2, 'a command')
    assert list(tmp_path.iterdir()) == []
