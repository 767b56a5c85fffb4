import os

import numpy as np
import pytest
from PIL import Image
from tiny_data import pixels as pixels_of
from tiny_data import save

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
        np.testing.assert_array_equal(pixels_of(out / f'native/images/{name}.png'), scan_of(name))
        mask = pixels_of(out / f'native/annotations/{name}.png')
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
    stored = {kind: pixels_of(raw / kind / 'Cirrus_1.png') for kind in ('images', 'masks')}
    for kind in kinds:
        Image.fromarray(stored[kind]).save(raw / kind / 'Cirrus_1.png', exif=exif)
    if len(kinds) == 1:
        with pytest.raises(InputError, match=r'masks/Cirrus_1\.png: .*EXIF.*images/Cirrus_1\.png'):
            prepare()
        return
    prepare()
    np.testing.assert_array_equal(pixels_of(out / 'native/images/Cirrus_1.png'), np.rot90(stored['images'], -1))
    np.testing.assert_array_equal(pixels_of(out / 'native/annotations/Cirrus_1.png'), np.rot90(stored['masks'], -1) > 0)


@pytest.mark.parametrize(('subject', 'said'), [(BY_DEVICE, 'scans of 2 patients'), (None, '--subject .*--each-scan-is-a-')])
def test_folds_need_patients(prepare, tmp_path, subject, said):
    with pytest.raises(InputError, match=said):
        prepare(subject, folds=True)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('write', [
    lambda path: Image.fromarray(np.stack([EYE * 200, EYE, EYE], axis=2)).save(path),
    lambda path: Image.fromarray(EYE).save(path, save_all=True, append_images=[Image.fromarray(EYE)]),
    lambda path: path.write_bytes(b'II*'),
])  # fmt: skip
def test_colours_several_pages_and_damaged_files_are_refused(tmp_path, write):
    write(tmp_path / 'scan.tif')
    with pytest.raises(InputError, match=r'scan\.tif: '):
        read_scan(tmp_path / 'scan.tif')


# A pocket of each value, in places that are no multiples of 8.
POCKETS = np.zeros((64, 80), np.uint8)
for place, value in ((3, 85), (27, 170), (51, 255)):
    POCKETS[place : place + 11, 9:31] = value
WHITE = np.uint8(255) * (POCKETS > 0)
LABELS = POCKETS // 85


def palette(indices, colours):
    image = Image.fromarray(indices, 'P')
    image.putpalette([level for colour in colours for level in colour])
    return image


BLACK, COLOURS = (0, 0, 0), [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
THREE = dict(irf=[85], srf=[170], ped=[255])


@pytest.mark.parametrize(('image', 'suffix', 'classes', 'expected'), [
    (Image.fromarray(WHITE // 255), 'png', None, LABELS > 0),
    (Image.fromarray(WHITE), 'bmp', None, LABELS > 0),
    (Image.fromarray(WHITE.astype(np.uint16) * 257), 'tif', None, LABELS > 0),
    (Image.fromarray(WHITE > 0), 'png', None, LABELS > 0),
    (Image.fromarray(WHITE), 'jpg', None, LABELS > 0),
    (Image.fromarray(WHITE).convert('RGB'), 'jpeg', None, LABELS > 0),
    (Image.fromarray(POCKETS), 'png', dict(fluid=[85, 170]), np.isin(LABELS, (1, 2))),
    (Image.fromarray(POCKETS), 'png', THREE, LABELS),
    (Image.fromarray(POCKETS).convert('RGB'), 'tiff', dict(ped=[255], irf=[85]), np.array([0, 2, 0, 1])[LABELS]),
    (Image.fromarray(WHITE), 'png', dict(fluid=[0]), LABELS == 0),
    # By index, whose order of brightness is another, but where the colours say which is white.
    (palette(LABELS, COLOURS), 'png', dict(a=[1], b=[2], c=[3]), LABELS),
    (palette(LABELS // 3, [BLACK, (90, 0, 0)]), 'png', None, LABELS == 3),
    (palette(LABELS // 3, [(255, 255, 255), BLACK]), 'png', None, LABELS < 3),
    (palette(LABELS // 3, [BLACK, (255, 255, 255)]), 'png', dict(fluid=[1]), LABELS == 3),
])  # fmt: skip
def test_masks_of_all_kinds(tmp_path, image, suffix, classes, expected):
    image.save(tmp_path / f'mask.{suffix}')
    found = read_mask(tmp_path / f'mask.{suffix}', classes)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_values_of_classes_in_jpeg_are_the_nearest(tmp_path):
    Image.fromarray(POCKETS).save(tmp_path / 'mask.jpg', quality=90)
    found = read_mask(tmp_path / 'mask.jpg', THREE)
    assert (found == LABELS).mean() > 0.98 and [np.sum(found == label) > 230 for label in (1, 2, 3)] == [True] * 3


# 64 x 80 pixels, three pockets of 11 x 22.
@pytest.mark.parametrize(('image', 'suffix', 'classes', 'said'), [
    (Image.fromarray(POCKETS), 'png', None, r'hold 0 \(4394 px\), 85 \(242 px\), 170 \(242 px\), 255 \(242 px\)'),
    (Image.fromarray(LABELS * 2), 'png', None, r'2 \(242 px\)'),
    (palette(LABELS, COLOURS), 'png', None, r'3 \(242 px\)'),
    (Image.fromarray(POCKETS.astype(np.uint16) * 16), 'png', None, r'4080 \(242 px\)'),
    (Image.fromarray(254 - WHITE // 255), 'png', None, r'254 \(4394 px\)'),
    (Image.fromarray(WHITE // 255), 'jpg', None, 'JPEG'),
    (Image.fromarray(np.tile(np.arange(80, dtype=np.uint8) * 3, (64, 1))), 'jpg', None, 'JPEG'),
])  # fmt: skip
def test_other_masks_are_refused_with_what_they_hold(tmp_path, image, suffix, classes, said):
    image.save(tmp_path / f'mask.{suffix}')
    with pytest.raises(InputError, match=rf'mask\.{suffix}: .*{said}'):
        read_mask(tmp_path / f'mask.{suffix}', classes)


def test_a_refusal_counts_the_values_of_all_masks(prepare, raw):
    mask = np.zeros(SHAPES['Topcon_1'], np.uint8)
    mask[:2, :5] = 85
    save(raw / 'masks/Topcon_1.png', mask)
    pixels = 32 * 47 + 46 * 34 + 33 * 33
    counted = rf'hold 0 \({pixels - 16} px\), 85 \(10 px\), 255 \(4 px\), 1 \(2 px\)'
    with pytest.raises(InputError, match=counted):
        prepare()
    with pytest.raises(InputError, match=f'no pixel of srf.*{counted}'):
        prepare(classes=dict(irf=[85], srf=[170]))


@pytest.mark.parametrize(('scan', 'mask', 'endings'), [
    ('images/{}.jpg', 'masks/{}.png', ('', '')),
    ('images/{}.tif', 'masks/{}.JPG', ('', '')),
    ('images/{}.png', 'masks/{}_mask.png', ('', '_mask')),
    ('images/{}.png', 'masks/{}-GT1.bmp', ('', '-GT1')),
    ('images/{}_image.png', 'masks/{}_mask.png', ('_image', '_mask')),
    ('images/{}.png', 'images/{}.seg.png', ('', '.seg')),
    ('images/{}_left.png', 'masks/{}_right.png', None),
])  # fmt: skip
def test_masks_are_found_under_other_endings(tmp_path, out, scan, mask, endings):
    for path, pixels in ((scan, np.arange(4096).reshape(64, 64) % 200), (mask, np.tril(np.full((64, 64), 255)))):
        for name in ('a_1', 'a_2', 'b_10'):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / path.format(name))
    folders = tmp_path / scan.split('/')[0], tmp_path / mask.split('/')[0]
    if endings is None:
        with pytest.raises(InputError, match='none of its 3 scans'):
            prepare_folder(*folders, out)
        return
    made = prepare_folder(*folders, out)
    assert (made.endings, made.without_mask, made.without_scan, made.scans) == (endings, [], [], 3)
    assert made.jpeg == 3 * mask.endswith('JPG')
    assert [row[0] for row in rows_of(out)] == ['a_1', 'a_2', 'b_10']
    np.testing.assert_array_equal(pixels_of(out / 'native/annotations/b_10.png'), np.tril(np.ones((64, 64), int)))
