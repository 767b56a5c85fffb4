import os

import numpy as np
import pytest
from PIL import Image
from tiny_data import pixels, save

from octfluid.datasets.prepare.folder import prepare_folder, read_mask, read_scan
from octfluid.utils.errors import InputError

SHAPES = {'Cirrus_1': (32, 47), 'Cirrus_2': (46, 34), 'Topcon_1': (33, 33)}
BY_DEVICE = r'([A-Z][a-z]+)_\d+'
EYE = np.eye(33, dtype=np.uint8)


def scan_of(name):
    return np.random.default_rng(len(name)).integers(0, 256, SHAPES[name], dtype=np.uint8)


@pytest.fixture
def raw(tmp_path):
    """Three scans of two devices; the first two hold 4 and 2 pixels of fluid, saved as 255 and as 1, the third has no fluid."""
    for kind in ('images', 'masks'):
        (tmp_path / 'raw' / kind).mkdir(parents=True)
    for name, fluid, value in (('Cirrus_1', 4, 255), ('Cirrus_2', 2, 1), ('Topcon_1', 0, 1)):
        mask = np.zeros(SHAPES[name], np.uint8)
        mask[1, :fluid] = value
        save(tmp_path / f'raw/images/{name}.png', scan_of(name))
        save(tmp_path / f'raw/masks/{name}.png', mask)
    return tmp_path / 'raw'


@pytest.fixture
def out(tmp_path):
    return tmp_path / 'out/data'


@pytest.fixture
def prepare(raw, out):
    return lambda *subject, **options: prepare_folder(raw / 'images', raw / 'masks', out, *subject, **options)


def rows_of(out):
    return [line.split(',') for line in (out / 'index.csv').read_text().splitlines()[1:]]


def test_scans_stay_as_they_are_and_masks_become_0_and_1(prepare, out):
    assert prepare(r'(Cir)rus_\d|(.+)')[:3] == (3, 2, 2)
    assert [row[3] for row in rows_of(out)] == ['Cir', 'Cir', 'Topcon_1']  # the first group that takes part
    for name, fluid in (('Cirrus_1', 4), ('Cirrus_2', 2), ('Topcon_1', 0)):
        np.testing.assert_array_equal(pixels(out / f'native/images/{name}.png'), scan_of(name))
        mask = pixels(out / f'native/annotations/{name}.png')
        assert mask[1, :fluid].all() and mask.sum() == fluid


def test_index_numbers_patients_and_counts_their_scans_and_their_fluid(prepare, out, raw):
    for number in (10, 9):  # scans of a patient are in the order in which people count
        save(raw / f'images/Topcon_{number}.png', EYE)
        save(raw / f'masks/Topcon_{number}.png', EYE)
    assert prepare(BY_DEVICE).subjects == 2
    assert (out / 'index.csv').read_bytes() == (
        b'name,subject,slice,group,fluid_px_native\nCirrus_1,1,0,Cirrus,4\nCirrus_2,1,1,Cirrus,2\nTopcon_1,2,0,Topcon,0\n'
        b'Topcon_9,2,1,Topcon,33\nTopcon_10,2,2,Topcon,33\n'
    )
    assert os.listdir(out / 'splits') == ['all_train.txt']
    assert (out / 'splits/all_train.txt').read_text().split() == [row[0] for row in rows_of(out)]


def test_folds_divide_the_patients(prepare, raw, out):
    for patient in range(5):
        for place in range(2):
            save(raw / f'images/P{patient}_{place}.png', np.full((40, 40), 9, np.uint8))
            save(raw / f'masks/P{patient}_{place}.png', np.full((40, 40), patient % 2, np.uint8))
    made = prepare(r'([A-Za-z0-9]+)_\d+', folds=True)
    assert made.splits == ['all', 'fold1', 'fold2', 'fold3'] and made.subjects == 7
    lists = {path.stem: path.read_text().split() for path in (out / 'splits').glob('fold*.txt')}
    every = sorted(name for number in (1, 2, 3) for name in lists[f'fold{number}_val'])
    assert every == sorted(row[0] for row in rows_of(out)) and len(every) == 13
    for number in (1, 2, 3):
        train, val = lists[f'fold{number}_train'], lists[f'fold{number}_val']
        assert sorted(train + val) == every and val
        assert not {name.partition('_')[0] for name in train} & {name.partition('_')[0] for name in val}
    prepare()  # without folds, their lists go
    assert os.listdir(out / 'splits') == ['all_train.txt']


def rename(before, after):
    return lambda raw: [(raw / f'{kind}/{before}.png').rename(raw / f'{kind}/{after}.png') for kind in ('images', 'masks')]


def put(name, scan):
    return lambda raw: save(raw / name, scan)


@pytest.mark.parametrize(('change', 'subject', 'said'), [
    (lambda raw: None, '(Cirrus', r"--subject '\(Cirrus'"),
    (lambda raw: None, '.+', 'Cirrus_1; expected a group'),
    # Patients that differ in case may be one patient, on both sides of a fold.
    (rename('Cirrus_2', 'CIRRUS_2'), r'([A-Za-z]+)_\d+', 'Cirrus and CIRRUS'),
    (put('images/Topcon_1.bmp', EYE), '(.+)', r'Topcon_1\.bmp is there too'),
    (put('images/-x.png', EYE), '(.+)', r'-x\.png: expected a name'),
    (lambda raw: [path.unlink() for path in (raw / 'masks').iterdir()], '(.+)', 'none of its 3 scans has a mask'),
    (put('masks/Topcon_1.png', np.zeros((33, 34), np.uint8)), '(.+)', r'masks/Topcon_1\.png: .*images/Topcon_1\.png'),
])  # fmt: skip
def test_what_cannot_be_converted_leaves_nothing(prepare, raw, tmp_path, change, subject, said):
    change(raw)
    with pytest.raises(InputError, match=said):
        prepare(subject)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('kinds', [['images', 'masks'], ['images'], ['masks']])
def test_pairs_are_turned_as_viewers_show_them_if_both_are(prepare, raw, out, kinds):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = {kind: pixels(raw / kind / 'Cirrus_1.png') for kind in ('images', 'masks')}
    for kind in kinds:
        Image.fromarray(stored[kind]).save(raw / kind / 'Cirrus_1.png', exif=exif)
    if len(kinds) == 1:
        with pytest.raises(InputError, match=r'masks/Cirrus_1\.png: .*EXIF.*images/Cirrus_1\.png'):
            prepare()
        return
    prepare()
    np.testing.assert_array_equal(pixels(out / 'native/images/Cirrus_1.png'), np.rot90(stored['images'], -1))
    np.testing.assert_array_equal(pixels(out / 'native/annotations/Cirrus_1.png'), np.rot90(stored['masks'], -1) > 0)


def test_too_few_patients_for_folds_are_refused(prepare):
    with pytest.raises(InputError, match='scans of 2 patients'):
        prepare(BY_DEVICE, folds=True)


@pytest.mark.parametrize(('image', 'shown'), [
    (Image.fromarray(EYE * 200), EYE * 200),
    (Image.fromarray(EYE * 200).convert('RGB'), EYE * 200),
    (Image.fromarray(EYE == 1), EYE * 255),
    (Image.fromarray(EYE.astype(np.uint16) * 4095), EYE * 255),
])  # fmt: skip
def test_gray_pictures_of_any_kind_are_scans(tmp_path, image, shown):
    image.save(tmp_path / 'scan.png')
    scan = read_scan(tmp_path / 'scan.png')
    assert scan.dtype == np.uint8
    np.testing.assert_array_equal(scan, shown)


@pytest.mark.parametrize('write', [
    lambda path: Image.fromarray(np.stack([EYE * 200, EYE, EYE], axis=2)).save(path),
    lambda path: Image.fromarray(EYE).save(path, save_all=True, append_images=[Image.fromarray(EYE)]),
    lambda path: path.write_bytes(b'II*'),
])  # fmt: skip
def test_colours_several_pages_and_damaged_files_are_refused(tmp_path, write):
    write(tmp_path / 'scan.tif')
    with pytest.raises(InputError, match=r'scan\.tif: '):
        read_scan(tmp_path / 'scan.tif')


def test_masks(tmp_path):
    path = tmp_path / 'mask.png'
    for mask in (EYE, EYE * 255, EYE.astype(np.uint16) * 65535, EYE == 1):
        save(path, mask)
        np.testing.assert_array_equal(read_mask(path), EYE)
    for mask in (EYE * 2, EYE.astype(np.uint16) * 4095, np.full((33, 33), 255, np.uint8) - EYE):
        save(path, mask)
        with pytest.raises(InputError, match=r'mask\.png: '):
            read_mask(path)
