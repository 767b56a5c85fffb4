import csv
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/duke_dme.py'
# Runs a tool in this process and then says how much CPU time (s) and memory (KiB, this process image alone) it took.
MEASURED = """
import atexit, re, runpy, sys, time
def tell():
    with open('/proc/self/status') as status:
        peak = re.search(r'VmHWM:\\s+(\\d+) kB', status.read()).group(1)
    print(f'CPU {time.process_time()} PEAK {peak}', file=sys.stderr)
atexit.register(tell)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def run(*arguments, **options):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


def write_subjects(folder, numbers=range(1, 11), shape=(20, 30, 2)):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        images = np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)
        fluid = np.full(shape, np.nan)
        fluid[:, :, 1] = 0
        fluid[5:9, 5:9, 1] = 1
        scipy.io.savemat(folder / f'Subject_{number:02d}.mat', {'images': images, 'manualFluid1': fluid})
    return folder


@pytest.fixture(scope='module')
def shared():
    folder = os.environ.get('OCTFLUID_SHARED_DATA')
    if not folder:
        pytest.skip('OCTFLUID_SHARED_DATA is not set: no real Duke data to convert')
    return Path(folder) / 'duke_dme'


@pytest.fixture(scope='module')
def real(shared, tmp_path_factory):
    """One conversion of the real files: the data set, and the finished process."""
    out = tmp_path_factory.mktemp('real') / 'duke_dme'
    return out, run('-c', MEASURED, TOOL, shared / 'mat', '--out', out)


@pytest.fixture(scope='module')
def index(real):
    with open(real[0] / 'index.csv', newline='') as file:
        return list(csv.DictReader(file))


def pixels(path):
    with Image.open(path) as image:
        assert image.mode == 'L'
        return np.asarray(image)


def test_real_counts_are_printed(real):
    out, done = real
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == '610 slices, 110 graded, 78 with fluid'
    assert str(out / 'paper_256') in done.stdout


def test_real_conversion_is_cheap(real):
    seconds, peak_kib = re.search(r'CPU (\S+) PEAK (\d+)', real[1].stderr).groups()
    assert float(seconds) < 30
    assert int(peak_kib) * 1024 < 1e9


def test_real_256_files_are_the_papers_pixel_for_pixel(real, index, shared):
    assert len(index) == 110
    for kind in ('images', 'annotations'):
        assert len(list((real[0] / 'paper_256' / kind).iterdir())) == 110
        for row in index:
            ours = pixels(real[0] / f'paper_256/{kind}/{row["name"]}.png')
            paper = pixels(shared / f'paper_256/{kind}/{row["paper_name"]}.png')
            np.testing.assert_array_equal(ours, paper, err_msg=f'{kind} {row["name"]}')


def test_real_native_files_are_the_volumes_slices(real, index, shared):
    stored = scipy.io.loadmat(shared / 'mat/Subject_06.mat', variable_names=['images', 'manualFluid1'])
    rows = [row for row in index if row['subject'] == '6']
    assert len(rows) == 11
    for row in rows:
        z = int(row['slice'])
        mask = pixels(real[0] / f'native/annotations/{row["name"]}.png')
        np.testing.assert_array_equal(mask, stored['manualFluid1'][:, :, z] > 0.3)
        np.testing.assert_array_equal(pixels(real[0] / f'native/images/{row["name"]}.png'), stored['images'][:, :, z])


def test_real_index_agrees_with_the_reference(real, index, shared):
    with open(shared / 'index.csv', newline='') as file:
        reference = list(csv.DictReader(file))
    assert [(row['paper_name'], int(row['subject']), int(row['slice']), row['fluid_px_native']) for row in index] == [
        (row['paper_name'], int(row['subject']), int(row['slice']), row['fluid_px']) for row in reference
    ]
    for row in index:
        assert int(row['fluid_px_256']) == pixels(real[0] / f'paper_256/annotations/{row["name"]}.png').sum()


def test_real_paper_split_is_the_papers(real, index, shared):
    paper_name = {row['name']: row['paper_name'] for row in index}
    for subset, count in (('train', 88), ('val', 22)):
        ours = {paper_name[name] for name in (real[0] / f'splits/paper_{subset}.txt').read_text().split()}
        assert ours == set((shared / f'paper_256/splits/{subset}.txt').read_text().split())
        assert len(ours) == count


def test_real_inner_folds_are_balanced(real, index):
    fluid = {row['name']: int(row['fluid_px_native']) > 0 for row in index}
    for outer in ('paper', 'subject01', 'train6-10_test1-5', 'all'):
        with_fluid = [
            sum(fluid[name] for name in (real[0] / f'splits/{outer}-inner{k}_val.txt').read_text().split()) for k in (1, 2, 3)
        ]
        assert max(with_fluid) - min(with_fluid) <= 11
        assert min(with_fluid) > 0


def test_synthetic_conversion_through_the_tool(tmp_path):
    done = run(TOOL, write_subjects(tmp_path / 'raw'), '--out', tmp_path / 'out')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.splitlines()[0] == '20 slices, 10 graded, 10 with fluid'


def test_missing_subjects_and_the_way_on(tmp_path):
    raw = write_subjects(tmp_path / 'raw', (1, 2, 3))
    done = run(TOOL, raw, '--out', tmp_path / 'out')
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert 'missing Subject_04.mat, Subject_05.mat' in done.stderr
    assert not (tmp_path / 'out').exists()
    assert run(TOOL, raw, '--out', tmp_path / 'out', '--allow-missing').returncode == 0


def test_full_disk_is_status_1_and_leaves_the_earlier_data(tmp_path):
    raw = write_subjects(tmp_path / 'raw')
    out = tmp_path / 'out'
    assert run(TOOL, raw, '--out', out).returncode == 0
    before = {path: path.read_bytes() for path in out.rglob('*') if path.is_file()}
    # A limit on the size of files fails a write just as a full disk does, with an OSError.
    done = run(TOOL, raw, '--out', out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400)))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert 'Traceback' not in done.stderr
    assert {path: path.read_bytes() for path in out.rglob('*') if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out', 'raw']
