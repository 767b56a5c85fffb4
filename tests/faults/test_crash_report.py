"""A report that is killed leaves whole pages only, and the same command makes those of an undisturbed one."""

import shutil

import pytest
from faults.crash import broken, contents, hidden, kill_often
from faults.ledger import budget, note

from octfluid.records.record import published_path, write_record

TOOL = 'tools/report.py'


@pytest.fixture
def records(make_record, tmp_path):
    """Three records, and three others that make other pages."""
    for folder, tp in (('earlier', 30), ('now', 40)):
        for seed in range(3):
            record = make_record([(tp + seed, 10, 50 - tp - seed, 65476), (0, 5, 0, 65531)], seed=seed)
            write_record(record, tmp_path / folder / published_path(record))
    return tmp_path


def test_killed_reports(warm, records, tmp_path):
    times, out, whole, seconds = budget(50, 2), tmp_path / 'out', {}, 0
    for folder in ('earlier', 'now'):
        running, status = warm.done(TOOL, tmp_path / folder, '--out', tmp_path / f'whole-{folder}')
        assert status == 0, running.said
        whole[folder], seconds = contents(tmp_path / f'whole-{folder}'), running.seconds
    assert whole['earlier'].keys() == whole['now'].keys() and whole['earlier'] != whole['now']

    def look():
        files = contents(out)
        mixed = [name for name in files if files[name] not in (whole['earlier'][name], whole['now'][name])]
        return f'neither page: {mixed}' if mixed else broken(out)

    def finish(running, status):
        left = hidden(out)
        wrong = status != 0 or contents(out) != whole['now'] or left
        shutil.rmtree(out)
        shutil.copytree(tmp_path / 'whole-earlier', out)
        return wrong and f'status {status}, left behind: {left}'

    shutil.copytree(tmp_path / 'whole-earlier', out)
    tally = kill_often(times, seconds, lambda: warm.start(TOOL, tmp_path / 'now', '--out', out), look, finish)
    note('crash', 'report killed', tally.kills, tally.held, 'python -m pytest tests -m faults -k killed_reports',
         seconds_undisturbed=round(seconds, 2), finished=tally.finished, files=len(whole['now']))  # fmt: skip
    assert (tally.kills, tally.wrong, hidden(tmp_path / 'whole-now')) == (times, [], [])
