import csv
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.hrf_prepare import find_photographs, prepare, usual_split
from octfluid.utils.errors import InputError


@pytest.fixture
def raw(tmp_path, write_hrf):
    return write_hrf(tmp_path / 'raw')


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def save_mask(raw, pixels, name='01_h', mode=None):
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(raw / f'manual1/{name}.tif')


def vessels(value=255, background=0):
    mask = np.full((64, 96), background, np.uint8)
    mask[10:20] = value
    return mask


def test_photographs_masks_index_and_split(tmp_path, raw):
    calls = []
    summary = prepare(raw, tmp_path / 'out', lambda done, total: calls.append((done, total)))
    assert (summary.train, summary.val, summary.vessel_share) == (3, 2, pytest.approx(10 / 64))
    assert calls == [(done, 5) for done in range(6)]
    native = tmp_path / 'out/native'
    assert (native / 'images/02_dr.jpg').read_bytes() == (raw / 'images/02_dr.JPG').read_bytes()
    with Image.open(native / 'annotations/02_dr.png') as mask:
        assert mask.mode == 'L'
        np.testing.assert_array_equal(np.asarray(mask), vessels(1))
    with open(tmp_path / 'out/index.csv', newline='') as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [
        ('01_h', '1', '0', 'h', '960'),
        ('06_h', '6', '0', 'h', '960'),
        ('02_dr', '102', '0', 'dr', '960'),
        ('07_dr', '107', '0', 'dr', '960'),
        ('05_g', '205', '0', 'g', '960'),
    ]
    assert (tmp_path / 'out/splits/usual_train.txt').read_text() == '01_h\n02_dr\n05_g\n'
    assert (tmp_path / 'out/splits/usual_val.txt').read_text() == '06_h\n07_dr\n'


def test_mask_is_pixel_divided_by_128(tmp_path, raw):
    save_mask(raw, vessels(128, background=127))
    save_mask(raw, vessels() > 0, '02_dr')
    save_mask(raw, vessels(), '05_g', 'RGB')
    prepare(raw, tmp_path / 'out')
    for name in ('01_h', '02_dr', '05_g'):
        with Image.open(tmp_path / f'out/native/annotations/{name}.png') as mask:
            np.testing.assert_array_equal(np.asarray(mask), vessels(1))


def test_files_without_a_partner_are_listed_and_left_out(tmp_path, raw):
    (raw / 'manual1/07_dr.tif').unlink()
    (raw / 'images/02_dr.JPG').unlink()
    (raw / 'images/Thumbs.db').write_bytes(b'x')
    (raw / 'images/.hidden').write_bytes(b'x')
    pairing = prepare(raw, tmp_path / 'out').pairing
    assert pairing.left_out == (
        f'{raw}/images/Thumbs.db: expected a name such as 01_dr.jpg',
        f'{raw}/images/07_dr.JPG: has no mask {raw}/manual1/07_dr.tif',
        f'{raw}/manual1/02_dr.tif: has no photograph {raw}/images/02_dr.jpg',
    )
    assert len(pairing.absent) == 40
    assert not {'01_h', '07_dr', '02_dr'} & set(pairing.absent)
    assert {path.stem for path in (tmp_path / 'out/native/images').iterdir()} == {'01_h', '05_g', '06_h'}


def test_folder_one_level_down(tmp_path, raw):
    assert find_photographs(tmp_path).folder == raw
    shutil.copytree(raw, tmp_path / 'copy')
    with pytest.raises(InputError, match='in several folders: copy, raw'):
        find_photographs(tmp_path)


def test_nothing_to_convert(tmp_path, raw):
    out = tmp_path / 'out'
    with pytest.raises(InputError, match=r'no such folder; .*download_data\.sh hrf'):
        prepare(tmp_path / 'nowhere', out)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(InputError, match='no folders images and manual1'):
        prepare(tmp_path / 'empty', out)
    for kind in ('images', 'manual1'):
        (tmp_path / 'empty' / kind).mkdir()
    with pytest.raises(InputError, match='no photograph with a mask'):
        prepare(tmp_path / 'empty', out)
    for name in ('06_h', '07_dr'):
        (raw / f'manual1/{name}.tif').unlink()
    with pytest.raises(InputError, match=r'no photograph 06\.\.15 of any group, so nothing to validate on'):
        prepare(raw, out)
    assert not out.exists()


def test_one_name_twice(tmp_path, raw):
    shutil.copy(raw / 'images/02_dr.JPG', raw / 'images/02_dr.jpeg')
    with pytest.raises(InputError, match=r'02_dr\.JPG and 02_dr\.jpeg are both 02_dr; remove one'):
        prepare(raw, tmp_path / 'out')


@pytest.mark.parametrize(
    ('pixels', 'message'),
    [
        (np.zeros((64, 95), np.uint8), r'01_h\.tif: is 64x95 \(height x width\); expected 64x96, the size of .*01_h\.jpg'),
        (vessels(254, background=255), r'holds the values 254, 255; expected two values'),
        (vessels(1), r'holds the values 0, 1; expected two values, 0 for background and 255 for vessel'),
        (np.zeros((64, 96), np.uint8), r'holds the values 0; expected two values'),
        (np.arange(64 * 96, dtype=np.uint8).reshape(64, 96), r'holds the values 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.; expected two'),
        (vessels().astype(np.uint16) * 257, r'expected an 8-bit gray mask'),
        (np.dstack([vessels(), vessels(), vessels() * 0]), r'pixels of shape \(64, 96, 3\); expected an 8-bit gray mask'),
    ],
)
def test_bad_masks(tmp_path, raw, pixels, message):
    save_mask(raw, pixels)
    with pytest.raises(InputError, match=message):
        prepare(raw, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('name', ['images/01_h.jpg', 'manual1/01_h.tif'])
def test_damaged_files(tmp_path, raw, name):
    whole = (raw / name).read_bytes()
    (raw / name).write_bytes(b'<html>404</html>')
    with pytest.raises(InputError, match=f'{name}: cannot be read as an image'):
        prepare(raw, tmp_path / 'out')
    (raw / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=name):
        prepare(raw, tmp_path / 'out')
    Image.new('1', (20_000, 20_000)).save(raw / name)  # more pixels than Pillow opens
    with pytest.raises(InputError, match=f'{name}: cannot be read as an image .*exceeds limit'):
        prepare(raw, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['images/01_h.jpg', 'manual1/01_h.tif'])
def test_a_pipe_is_refused_and_not_read(tmp_path, raw, name):
    (raw / name).unlink()
    os.mkfifo(raw / name)
    with pytest.raises(InputError, match=rf'{name}: a pipe, socket or device; expected a file'):
        prepare(raw, tmp_path / 'out')


def test_photographs_of_another_kind(tmp_path, raw):
    path = raw / 'images/01_h.jpg'
    with Image.open(path) as image:
        pixels = image.copy()
    pixels.convert('L').save(path)
    with pytest.raises(InputError, match='is a L image in JPEG format; expected an RGB JPEG'):
        prepare(raw, tmp_path / 'out')
    pixels.save(path, 'PNG')
    with pytest.raises(InputError, match='is a RGB image in PNG format; expected an RGB JPEG'):
        prepare(raw, tmp_path / 'out')
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels.save(path, exif=turned)
    with pytest.raises(InputError, match='is to be shown turned'):
        prepare(raw, tmp_path / 'out')


def test_twice_gives_the_same_bytes_and_stale_files_go(tmp_path, raw):
    out = tmp_path / 'made/out'
    prepare(raw, out)
    first = contents(out)
    prepare(raw, out)
    assert contents(out) == first
    (raw / 'images/07_dr.JPG').unlink()
    prepare(raw, out)
    assert not list(out.rglob('07_dr.*'))
    assert [path.name for path in out.parent.iterdir()] == ['out']


def test_failure_leaves_the_earlier_conversion_alone(tmp_path, raw, monkeypatch):
    out = tmp_path / 'out'
    prepare(raw, out)
    before = contents(out)
    save_mask(raw, vessels()[::-1])
    write_bytes, written = Path.write_bytes, []

    def fails_late(self, data):
        written.append(self)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write_bytes(self, data)

    monkeypatch.setattr(Path, 'write_bytes', fails_late)
    with pytest.raises(OSError, match='No space'):
        prepare(raw, out)
    assert contents(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out', 'raw']


def test_folder_of_the_user_is_never_replaced(tmp_path, raw):
    out = tmp_path / 'out'
    prepare(raw, out)
    for mine in ('splits/mine_train.txt', 'native/images/mine.jpg', 'native/annotations/.keep'):
        (out / mine).write_text('mine')
        with pytest.raises(InputError, match=f'{mine}: not made by this converter'):
            prepare(raw, out)
        (out / mine).unlink()
    (tmp_path / 'home').mkdir()
    (tmp_path / 'home/thesis.txt').write_text('mine')
    with pytest.raises(InputError, match='home'):
        prepare(raw, tmp_path / 'home')


@pytest.fixture
def shared():
    folder = os.environ.get('OCTFLUID_SHARED_DATA')
    if not folder:
        pytest.skip('OCTFLUID_SHARED_DATA is not set: no real HRF photographs')
    if not (Path(folder) / 'hrf').is_dir():
        pytest.skip('OCTFLUID_SHARED_DATA has no hrf/ folder')
    return Path(folder) / 'hrf'


def test_real_photographs_pair_up(shared):
    pairing = find_photographs(shared)
    found = len(list((shared / 'images').iterdir()))
    assert found in (42, 45)  # the download's 45, or without 11_h, 12_h and 13_h
    assert len(pairing.photographs) == len({p.subject for p in pairing.photographs}) == found
    assert (pairing.left_out, pairing.absent) == ((), ('11_h', '12_h', '13_h') if found == 42 else ())
    split = usual_split(pairing)
    assert (len(split.train), len(split.val)) == (15, found - 15)
    assert set(split.train) == {f'{eye:02d}_{group}' for group in ('h', 'dr', 'g') for eye in range(1, 6)}


def test_two_real_photographs(tmp_path, shared):
    for name in ('images/01_dr.JPG', 'manual1/01_dr.tif', 'images/06_g.jpg', 'manual1/06_g.tif'):
        (tmp_path / 'raw' / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shared / name, tmp_path / 'raw' / name)
    prepare(tmp_path / 'raw', tmp_path / 'out')
    with (
        Image.open(tmp_path / 'out/native/annotations/06_g.png') as image,
        Image.open(shared / 'manual1/06_g.tif') as published,
    ):
        mask = np.asarray(image)
        np.testing.assert_array_equal(mask, np.asarray(published) // 128)
    assert mask.shape == (2336, 3504)
    assert 0.04 < mask.mean() < 0.12
