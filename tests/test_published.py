"""What is committed under docs/results and in the README is what the report makes of the committed records."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from octfluid.engine.record import published_path, read_records

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'docs/results'


def test_the_report_regenerates_what_is_committed(tmp_path):
    copy = tmp_path / 'docs/results'
    shutil.copytree(RESULTS / 'records', copy / 'records')
    readme = (ROOT / 'README.md').read_text()
    emptied = re.sub(r'(?s)(<!-- results:begin -->).*(<!-- results:end -->)', r'\1\n\2', readme)
    assert emptied != readme
    (tmp_path / 'README.md').write_text(emptied)
    subprocess.run([sys.executable, ROOT / 'tools/report.py', copy / 'records', '--out', copy], check=True, capture_output=True)
    assert (tmp_path / 'README.md').read_text() == readme
    written = sorted(path.relative_to(copy) for path in copy.rglob('*') if path.is_file())
    assert written == sorted(path.relative_to(RESULTS) for path in RESULTS.rglob('*') if path.is_file())
    for name in written:
        assert (copy / name).read_bytes() == (RESULTS / name).read_bytes(), name


def test_records_have_their_names_and_come_from_clean_commits():
    records = read_records([RESULTS / 'records'])
    assert records
    for path, record in records:
        assert path.relative_to(RESULTS / 'records').as_posix() == published_path(record)
        assert record['git'] and not record['git']['dirty'], path


def test_pictures_of_the_readme_exist():
    pictures = re.findall(r'src="([^"]+)"', (ROOT / 'README.md').read_text())
    assert len(pictures) == 3
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_links_of_the_documents_lead_somewhere():
    pages = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *(ROOT / name / 'README.md' for name in ('data', 'checkpoints'))]
    broken = [
        f'{page.name}: {target}'
        for page in pages
        for target in re.findall(r'\]\((?!https?://|#)([^)#]+)', page.read_text())
        if not (page.parent / target).exists()
    ]
    assert len(pages) >= 7 and not broken
