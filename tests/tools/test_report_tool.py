import json
import subprocess
import sys
from pathlib import Path

import pytest

from octfluid.records.record import published_path, write_record

ROOT = Path(__file__).resolve().parents[2]


def report(*arguments, cwd=ROOT):
    command = [sys.executable, str(ROOT / 'tools' / 'report.py'), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.mark.slow
def test_two_reports_from_two_places_are_equal_byte_for_byte(make_record, hrf_weights, tmp_path):
    for folder in ('a/records', 'b/deeper/records'):
        for seed in range(3):
            record = make_record([(30 + seed, 10, 20 - seed, 65476)], seed=seed, init=hrf_weights)
            write_record(record, tmp_path / folder / published_path(record))
    first = report('records', '--out', 'out', cwd=tmp_path / 'a')
    second = report(tmp_path / 'b' / 'deeper' / 'records', '--out', tmp_path / 'b' / 'out')
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.startswith('3 run records read\n')
    written = [path.relative_to(tmp_path / 'a/out') for path in (tmp_path / 'a/out').rglob('*') if path.is_file()]
    pages = ['ablations.md', 'prediction.md', 'recipes.md', 'speed.md', 'table1.md', 'table2.md', 'what_holds_up.md']
    assert sorted(map(str, written)) == sorted([*pages, 'figures/loss_table2.png', 'report.html', 'results.json'])
    for name in written:
        content = (tmp_path / 'a' / 'out' / name).read_bytes()
        assert content == (tmp_path / 'b' / 'out' / name).read_bytes()
        assert str(tmp_path).encode() not in content


def test_a_broken_record_is_one_line_and_status_2(make_record, tmp_path):
    write_record(make_record(), tmp_path / 'records' / 'r.json')
    whole = (tmp_path / 'records' / 'r.json').read_text()
    (tmp_path / 'records' / 'r.json').write_text(whole[: len(whole) // 2])
    done = report(tmp_path / 'records', '--out', tmp_path / 'out')
    assert done.returncode == 2
    assert done.stderr.count('\n') == 1 and 'r.json: broken JSON at line' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_a_record_whose_scores_were_edited_is_refused(make_record, tmp_path):
    write_record(make_record(), tmp_path / 'r.json')
    text = (tmp_path / 'r.json').read_text()
    (tmp_path / 'r.json').write_text(text.replace('"mIoU": 0.', '"mIoU": 0.9'))
    done = report(tmp_path, '--out', tmp_path / 'out')
    assert done.returncode == 2
    assert done.stderr.startswith('error: ') and 'field metrics.mIoU' in done.stderr and done.stderr.count('\n') == 1


def test_a_missing_folder_and_missing_arguments_are_status_2(tmp_path):
    for arguments in ([tmp_path / 'none', '--out', tmp_path / 'out'], [tmp_path]):
        done = report(*arguments)
        assert done.returncode == 2 and done.stderr.count('\n') == 1


def test_a_record_is_never_written_over(tmp_path, make_record):
    (tmp_path / 'results.json').write_text(json.dumps(make_record()))
    before = (tmp_path / 'results.json').read_bytes()
    done = report(tmp_path, '--out', tmp_path)
    assert done.returncode == 2 and 'results.json: a record where the report writes a page of its own' in done.stderr
    assert (tmp_path / 'results.json').read_bytes() == before


@pytest.mark.slow
def test_a_linked_readme_stays_a_link_and_a_file_in_the_place_of_figures_stops_all(make_record, tmp_path):
    write_record(make_record(), tmp_path / 'r.json')
    readme = tmp_path / 'real.md'
    readme.write_text('<!-- results:begin -->\n<!-- results:end -->\n')
    (tmp_path / 'README.md').symlink_to(readme)
    done = report(tmp_path / 'r.json', '--out', tmp_path / 'out', '--readme', tmp_path / 'README.md')
    assert done.returncode == 0 and (tmp_path / 'README.md').is_symlink() and 'Table 2' in readme.read_text()
    (tmp_path / 'pages').mkdir()
    (tmp_path / 'pages/figures').write_text('')
    done = report(tmp_path / 'r.json', '--out', tmp_path / 'pages')
    assert done.returncode == 2 and 'figures is a file; expected a folder' in done.stderr
    assert [path.name for path in (tmp_path / 'pages').iterdir()] == ['figures']
