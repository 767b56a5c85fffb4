"""What is committed under docs/results and in the README is what the report makes of the committed records."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.inference.model import ScanModel
from octfluid.records.record import published_path, read_records
from octfluid.reporting.speed import CHECKS, FOLDER, read_benchmarks, read_checks

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'docs/results'
MARKED = ('README.md',)


def files_of(folder):
    """Files of a results folder but for benchmarks and checks, which the report reads and does not write."""
    paths = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return sorted(path for path in paths if path.parts[0] not in ('benchmarks', 'prediction'))


def blocks(path):
    """Mean gray of each 8x8 block of a picture, which hardly depends on how edges are shaded."""
    gray = np.asarray(Image.open(path).convert('L')).astype(float)
    height, width = (side // 8 for side in gray.shape)
    return gray.shape, gray[: 8 * height, : 8 * width].reshape(height, 8, width, 8).mean((1, 3))


def without_pictures(path):
    """The page without its figures, which vary with the version of matplotlib."""
    return re.sub(r'src="data:[^"]*"', '', path.read_text())


@pytest.mark.slow
def test_the_report_regenerates_what_is_committed(tmp_path):
    copy = tmp_path / 'docs/results'
    for folder in ('records', FOLDER, CHECKS):
        if (RESULTS / folder).is_dir():
            shutil.copytree(RESULTS / folder, copy / folder)
    for name in MARKED:
        text = (ROOT / name).read_text()
        emptied = re.sub(r'(?s)(<!-- results:begin -->).*(<!-- results:end -->)', r'\1\n\2', text)
        assert emptied != text
        (tmp_path / name).write_text(emptied)
    subprocess.run([sys.executable, ROOT / 'tools/report.py', copy / 'records', '--out', copy], check=True, capture_output=True)
    for name in MARKED:
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), name
    written = files_of(copy)
    assert written == files_of(RESULTS)
    for name in written:
        if name.parts[0] == 'figures':
            # Other versions of matplotlib or FreeType shade the edges of letters and lines differently, and no more than that.
            (size, drawn), (committed_size, committed) = blocks(copy / name), blocks(RESULTS / name)
            assert size == committed_size, name
            assert (abs(drawn - committed) > 16).mean() < 0.005, name
        elif name.suffix == '.html':
            assert without_pictures(copy / name) == without_pictures(RESULTS / name), name
        else:
            assert (copy / name).read_bytes() == (RESULTS / name).read_bytes(), name


def test_records_have_their_names_and_come_from_clean_commits():
    records = read_records([RESULTS / 'records'])
    assert records
    for path, record in records:
        assert path.relative_to(RESULTS / 'records').as_posix() == published_path(record)
        assert record['git'] and not record['git']['dirty'], path


def test_benchmarks_come_from_clean_commits_and_are_shown():
    page = (RESULTS / 'speed.md').read_text()
    benchmarks = read_benchmarks(RESULTS / FOLDER)
    assert len(benchmarks) == sum(path.is_file() for path in (RESULTS / FOLDER).rglob('*'))
    for name, content in benchmarks.items():
        assert content['git'] and content['git']['dirty'] is False, name
        assert re.fullmatch(rf'{content["kind"]}(_[a-z]+)?_{Path(content["config"]).stem}\.json', name)
        assert f']({FOLDER}/{name})' in page


def test_links_of_the_documents_lead_somewhere():
    pages = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('docs/how-to/*.md'), *RESULTS.glob('*.md')]
    pages += [ROOT / name / 'README.md' for name in ('data', 'checkpoints', 'work_dirs')]
    broken = [
        f'{page.name}: {target}'
        for page in pages
        for target in re.findall(r'(?:\]\(|src=")(?!https?://|#)([^)#"]+)', page.read_text())
        if not (page.parent / target).exists()
    ]
    assert len(pages) >= 20 and not broken


def test_checks_of_predictions_are_those_of_the_shipped_model():
    checks = read_checks(RESULTS / CHECKS)
    assert set(checks) == {'guard', 'areas'}
    for check in checks.values():
        assert check['git'] and check['git']['dirty'] is False
        assert check['weights_sha256'] == ScanModel().info.weights_sha256
