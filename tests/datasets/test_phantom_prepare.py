import csv

import cv2
import numpy as np
import pytest

from octfluid.datasets.phantom_prepare import write_phantom_dataset
from octfluid.utils.errors import InputError

SMALL = {'height': 64, 'width': 80}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_layout_index_and_split(tmp_path):
    reports = []
    summary = write_phantom_dataset(
        tmp_path / 'data', subjects=6, slices=4, progress=lambda *counts: reports.append(counts), **SMALL
    )
    scans = [f's{subject:02d}_z{z:02d}' for subject in range(1, 7) for z in range(4)]
    assert names(tmp_path) == ['data']
    assert names(tmp_path / 'data') == ['index.csv', 'native', 'splits']
    for kind in ('images', 'annotations'):
        assert names(tmp_path / 'data' / 'native' / kind) == [f'{name}.png' for name in scans]
    assert (tmp_path / 'data/splits/heldout_train.txt').read_text().split() == scans[:16]
    assert (tmp_path / 'data/splits/heldout_val.txt').read_text().split() == scans[16:]
    with open(tmp_path / 'data' / 'index.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ['name', 'paper_name', 'subject', 'slice', 'fluid_px_native']
    assert [row['name'] for row in rows] == scans
    assert rows[5] | {'fluid_px_native': ''} == {
        'name': 's02_z01',
        'paper_name': '',
        'subject': '2',
        'slice': '1',
        'fluid_px_native': '',
    }
    areas = []
    for row in rows:
        image, mask = (read(tmp_path / f'data/native/{kind}/{row["name"]}.png') for kind in ('images', 'annotations'))
        assert image.shape == mask.shape == (64, 80)
        assert image.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) <= {0, 1}
        assert int(row['fluid_px_native']) == mask.sum()
        areas.append(mask.sum())
    # 30 % of four slices, rounded, is one slice without fluid in each subject.
    assert [sum(area == 0 for area in areas[start : start + 4]) for start in range(0, 24, 4)] == [1] * 6
    assert (summary.train, summary.val, summary.with_fluid) == (16, 8, 18)
    assert summary.fluid_share == pytest.approx(sum(areas) / (24 * 64 * 80))
    assert reports == [(done, 24) for done in range(25)]


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_same_arguments_same_bytes_and_seed_matters(tmp_path):
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        write_phantom_dataset(tmp_path / name, subjects=2, slices=2, seed=seed, **SMALL)
    assert contents(tmp_path / 'a') == contents(tmp_path / 'b')
    images = [{path: data for path, data in contents(tmp_path / name).items() if 'images' in path.parts} for name in 'ac']
    assert images[0].keys() == images[1].keys()
    assert all(images[0][path] != images[1][path] for path in images[0])


def test_subjects_do_not_depend_on_how_many_there_are(tmp_path):
    for name, subjects in (('a', 2), ('b', 3)):
        write_phantom_dataset(tmp_path / name, subjects=subjects, slices=2, **SMALL)
    few, many = contents(tmp_path / 'a'), contents(tmp_path / 'b')
    scans = [path for path in few if path.suffix == '.png']
    assert len(scans) == 8
    assert all(few[path] == many[path] for path in scans)


def test_at_least_one_subject_on_either_side(tmp_path):
    summary = write_phantom_dataset(tmp_path / 'data', subjects=2, slices=1, **SMALL)
    assert (summary.train, summary.val, summary.with_fluid) == (1, 1, 2)


def test_earlier_phantoms_are_replaced(tmp_path):
    write_phantom_dataset(tmp_path / 'data', subjects=3, slices=2, **SMALL)
    write_phantom_dataset(tmp_path / 'data', subjects=2, slices=1, **SMALL)
    assert names(tmp_path / 'data/native/images') == ['s01_z00.png', 's02_z00.png']


@pytest.mark.parametrize(
    'foreign', ['notes.txt', 'native/images/mine.png', 'paper_256/images/s01_z00.png', 'splits/mine_train.txt']
)
def test_anything_else_is_kept(tmp_path, foreign):
    write_phantom_dataset(tmp_path / 'data', subjects=2, slices=1, **SMALL)
    (tmp_path / 'data' / foreign).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / 'data' / foreign).write_text('mine')
    before = contents(tmp_path / 'data')
    with pytest.raises(InputError, match='not made by this converter'):
        write_phantom_dataset(tmp_path / 'data', subjects=2, slices=2, **SMALL)
    assert contents(tmp_path / 'data') == before
    assert names(tmp_path) == ['data']


def test_a_prepared_duke_data_set_is_kept(tmp_path):
    (tmp_path / 'data/native/images').mkdir(parents=True)
    (tmp_path / 'data/native/images/s01_z10.png').write_bytes(b'scan')
    (tmp_path / 'data/index.csv').write_text('name,paper_name,subject,slice,fluid_px_native,fluid_px_256\n')
    before = contents(tmp_path / 'data')
    with pytest.raises(InputError, match='did not make'):
        write_phantom_dataset(tmp_path / 'data', **SMALL)
    assert contents(tmp_path / 'data') == before


@pytest.mark.parametrize(('name', 'value'), [('subjects', 1), ('slices', 0), ('height', 63), ('width', 10), ('seed', -1)])
def test_bad_arguments_make_nothing(tmp_path, name, value):
    with pytest.raises(InputError, match=f'{name}: {value}; expected at least'):
        write_phantom_dataset(tmp_path / 'p' / 'data', **{name: value})
    assert names(tmp_path) == []


def test_a_full_disk_leaves_earlier_phantoms(tmp_path, monkeypatch):
    write_phantom_dataset(tmp_path / 'data', subjects=2, slices=1, **SMALL)
    before = contents(tmp_path / 'data')

    def fill_up(done, total):
        if done == 1:
            raise OSError(28, 'No space left on device')

    with pytest.raises(OSError, match='No space'):
        write_phantom_dataset(tmp_path / 'data', subjects=2, slices=2, progress=fill_up, **SMALL)
    assert contents(tmp_path / 'data') == before
    assert names(tmp_path) == ['data']
