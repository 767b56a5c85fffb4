import csv
import errno
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from octfluid.datasets.duke_prepare import INDEX_COLUMNS, prepare
from octfluid.utils.errors import InputError

SHAPE = (20, 30, 4)


def write_subject(folder, number, graded=(1, 3), pockets=(1,), **extra):
    """A small volume; slices in ``graded`` are annotated, those in ``pockets`` hold a pocket of 8x8 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(number).integers(0, 256, SHAPE, dtype=np.uint8)
    fluid = np.full(SHAPE, np.nan)
    fluid[:, :, list(graded)] = 0
    for z in pockets:
        fluid[4:12, 10:18, z] = 2
    variables = {'images': images, 'manualFluid1': fluid, **extra}
    scipy.io.savemat(folder / f'Subject_{number:02d}.mat', variables, do_compression=True)
    return images, fluid


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / 'raw'
    for number in range(1, 11):
        write_subject(folder, number)
    return folder


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_masks_images_and_index(tmp_path, raw):
    images, _ = write_subject(raw, 1, graded=(0, 2), pockets=(2,))
    summary = prepare(raw, tmp_path / 'out')
    assert (summary.slices, summary.graded, summary.with_fluid) == (40, 20, 10)
    assert summary.subjects == tuple(range(1, 11))

    native = tmp_path / 'out/native'
    with Image.open(native / 'images/s01_z02.png') as image, Image.open(native / 'annotations/s01_z02.png') as mask:
        assert (image.mode, mask.mode) == ('L', 'L')
        np.testing.assert_array_equal(np.asarray(image), images[:, :, 2])
        expected = np.zeros(SHAPE[:2], np.uint8)
        expected[4:12, 10:18] = 1
        np.testing.assert_array_equal(np.asarray(mask), expected)
    with Image.open(tmp_path / 'out/paper_256/annotations/s01_z02.png') as small:
        small_mask = np.asarray(small)
    assert small_mask.shape == (256, 256)
    assert set(np.unique(small_mask)) == {0, 1}
    assert len(list((tmp_path / 'out/paper_256/images').iterdir())) == 20

    with open(tmp_path / 'out/index.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == INDEX_COLUMNS
    assert [row['name'] for row in rows[:3]] == ['s01_z00', 's01_z02', 's02_z01']
    assert rows[1] == {
        'name': 's01_z02',
        'paper_name': '',
        'subject': '1',
        'slice': '2',
        'fluid_px_native': '64',
        'fluid_px_256': str(small_mask.sum()),
    }
    assert (tmp_path / 'out/splits/subject01_val.txt').read_text() == 's01_z00\ns01_z02\n'


def test_threshold_and_ungraded_pixels(tmp_path, raw):
    fluid = np.full(SHAPE, np.nan)
    fluid[:, :, 0] = 0
    fluid[0, :4, 0] = [0.3, 0.31, 15, np.nan]
    scipy.io.savemat(raw / 'Subject_01.mat', {'images': np.zeros(SHAPE, np.uint8), 'manualFluid1': fluid})
    prepare(raw, tmp_path / 'out')
    with Image.open(tmp_path / 'out/native/annotations/s01_z00.png') as mask:
        assert np.asarray(mask)[0, :5].tolist() == [0, 1, 1, 0, 0]


def test_twice_gives_the_same_bytes_and_leaves_nothing_else(tmp_path, raw):
    out = tmp_path / 'made/out'
    prepare(raw, out)
    first = contents(out)
    prepare(raw, out)
    assert contents(out) == first
    assert [path.name for path in out.parent.iterdir()] == ['out']


def test_stale_files_of_an_earlier_conversion_go(tmp_path, raw):
    out = tmp_path / 'out'
    prepare(raw, out)
    (raw / 'Subject_10.mat').unlink()
    prepare(raw, out, allow_missing=True)
    assert not list(out.rglob('*s10_*'))
    assert not (out / 'splits/subject10_val.txt').exists()
    assert (out / 'splits/subject09_val.txt').exists()


@pytest.mark.parametrize('failure', [KeyboardInterrupt, OSError(errno.ENOSPC, 'No space left on device')])
def test_failure_leaves_the_earlier_conversion_alone(tmp_path, raw, monkeypatch, failure):
    out = tmp_path / 'out'
    prepare(raw, out)
    before = contents(out)
    write_subject(raw, 1, pockets=(1, 3))
    write_bytes = Path.write_bytes
    written = []

    def fails_late(self, data):
        written.append(self)
        if len(written) > 20:
            raise failure
        return write_bytes(self, data)

    monkeypatch.setattr(Path, 'write_bytes', fails_late)
    with pytest.raises(failure if isinstance(failure, type) else OSError):
        prepare(raw, out)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out', 'raw']


def test_bad_file_leaves_nothing(tmp_path, raw):
    (raw / 'Subject_07.mat').write_bytes((raw / 'Subject_07.mat').read_bytes()[:700])
    with pytest.raises(InputError, match=r'Subject_07\.mat'):
        prepare(raw, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()


def test_archive_with_a_folder_inside(tmp_path, raw):
    raw.rename(tmp_path / '2015_BOE_Chiu')
    (tmp_path / 'notes').mkdir()
    assert prepare(tmp_path, tmp_path / 'out').graded == 20
    write_subject(tmp_path / 'copy', 1)
    with pytest.raises(InputError, match='in several folders: 2015_BOE_Chiu, copy'):
        prepare(tmp_path, tmp_path / 'out')


def test_grader_2(tmp_path, raw):
    for number in range(1, 11):
        _, fluid = write_subject(raw, number)
        write_subject(raw, number, manualFluid2=np.where(np.isnan(fluid), np.nan, 1.0))
    assert prepare(raw, tmp_path / 'out', grader=2).with_fluid == 20


def test_missing_subjects(tmp_path, raw):
    (raw / 'Subject_04.mat').unlink()
    (raw / 'Subject_10.mat').unlink()
    with pytest.raises(InputError, match=r'8 of the 10 subjects, missing Subject_04\.mat, Subject_10\.mat; .*--allow-missing'):
        prepare(raw, tmp_path / 'out')
    calls = []
    summary = prepare(raw, tmp_path / 'out', allow_missing=True, progress=lambda done, total: calls.append((done, total)))
    assert summary.subjects == (1, 2, 3, 5, 6, 7, 8, 9)
    assert calls == [(done, 8) for done in range(9)]


def test_nothing_to_convert(tmp_path, raw):
    with pytest.raises(InputError, match='no such folder'):
        prepare(tmp_path / 'nowhere', tmp_path / 'out')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match=r'no Subject_\*\.mat'):
        prepare(tmp_path / 'empty', tmp_path / 'out')
    for number in range(1, 11):
        write_subject(raw, number, graded=(), pockets=())
    with pytest.raises(InputError, match=r'no graded slice in 10 files: manualFluid1 is NaN everywhere'):
        prepare(raw, tmp_path / 'out')
    write_subject(raw, 10, manualFluid1=np.zeros(SHAPE))
    (raw / 'Subject_10.mat').rename(raw / 'subject_010.mat')
    write_subject(raw, 10)
    with pytest.raises(InputError, match='are both subject 10'):
        prepare(raw, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_folder_of_the_user_is_never_replaced(tmp_path, raw):
    home = tmp_path / 'home'
    (home / 'splits').mkdir(parents=True)
    (home / 'index.csv').write_text('name,subject,slice\n')
    with pytest.raises(InputError, match='home'):
        prepare(raw, home)
    assert (home / 'index.csv').exists()
    out = tmp_path / 'out'
    prepare(raw, out)
    for mine in ('splits/mine_train.txt', 'notes.txt', 'paper_256/images/extra.png', 'native/annotations/.keep'):
        (out / mine).write_text('mine')
        with pytest.raises(InputError, match=f'{mine}: not made by this converter'):
            prepare(raw, out)
        (out / mine).unlink()
    prepare(raw, out)
