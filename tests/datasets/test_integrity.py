import os
import re

import numpy as np
import pytest
from PIL import Image
from tiny_data import NAMES, SIZE, problems, save

from octfluid.datasets.integrity import (
    SubsetCounts,
    check_dataset,
    load_index,
    read_split,
    split_names,
)
from octfluid.utils.errors import InputError


def test_sound_data_set(root):
    report = check_dataset(root, 'small', 'half', SIZE)
    assert report.problems == []
    assert report.subsets == {'train': SubsetCounts(3, 2, 2, 9 / 72), 'val': SubsetCounts(1, 1, 0, 0.0)}
    assert check_dataset(root, 'small', size=SIZE).subsets == {'all': SubsetCounts(4, 3, 2, 9 / 96)}
    assert set(check_dataset(root, 'small', 'all', SIZE).subsets) == {'train'}


def test_missing_and_unpaired_files(root):
    (root / 'small/annotations/s01_z15.png').unlink()
    (root / 'small/images/s03_z10.png').unlink()
    found = problems(root)
    small = root / 'small'
    assert f'{small}/images/s01_z15.png: no mask; expected {small}/annotations/s01_z15.png' in found
    assert f'{small}/annotations/s03_z10.png: no image; expected {small}/images/s03_z10.png' in found
    assert any('half_train.txt' in line and "'s01_z15' has no annotation" in line for line in found)
    assert any('half_val.txt' in line and "'s03_z10' has no image" in line for line in found)
    (root / 'small/annotations/s03_z10.png').unlink()
    assert f"{root}/index.csv: 's03_z10' is listed but has no image and no mask" in problems(root)


def test_wrong_sizes(root):
    save(root / 'small/images/s01_z10.png', np.zeros((4, 5), np.uint8))
    save(root / 'small/annotations/s01_z15.png', np.zeros((3, 6), np.uint8))
    small = root / 'small'
    assert problems(root) == [
        f'{small}/images/s01_z10.png: is 4x5 (height x width); expected 4x6',
        f'{small}/annotations/s01_z15.png: is 3x6 (height x width); expected 4x6',
    ]
    # Without a size for all, a mask is held against its own image.
    assert problems(root, size=None) == [
        f'{small}/annotations/s01_z10.png: is 4x6 (height x width); expected 4x5',
        f'{small}/annotations/s01_z15.png: is 3x6 (height x width); expected 4x6',
    ]


@pytest.mark.parametrize('content', [b'', b'not a picture', None])
def test_unreadable_files(root, content):
    for path in (root / 'small/images/s01_z10.png', root / 'small/annotations/s01_z10.png'):
        # None: a picture that was cut short.
        path.write_bytes(path.read_bytes()[:-28] if content is None else content)
    found = problems(root)
    assert len(found) == 2
    assert all('s01_z10.png: cannot be read as an image' in line and '\n' not in line for line in found)


def mask_problem(root, pixels, mode=None, **options):
    save(root / 'small/annotations/s01_z10.png', pixels, mode)
    found = problems(root, **options)
    assert len(found) == 1
    return found[0].removeprefix(f'{root}/small/annotations/s01_z10.png: ')


def test_wrong_values(root):
    mask = np.zeros(SIZE, np.uint8)
    mask[1, 1] = 255
    assert mask_problem(root, mask).startswith('holds the values 0, 255; expected 0..1; if 255 means foreground, save it as 1')
    assert problems(root, ignore_index=255) == []
    assert mask_problem(root, mask // 255 * 2) == 'holds the values 0, 2; expected 0..1'
    mask[1, 2] = 3
    assert mask_problem(root, mask) == 'holds the values 0, 3, 255; expected 0..1'
    assert mask_problem(root, mask, ignore_index=255) == 'holds the values 0, 3, 255; expected 0..1 and 255'
    assert not [line for line in problems(root, ignore_index=255, classes=4) if 'holds' in line]
    many = np.arange(24, dtype=np.uint8).reshape(SIZE)
    assert mask_problem(root, many) == 'holds the values 0, 1, 2, 3, 4, 5, 6, 7, ...; expected 0..1'


def test_ignored_pixels_count_as_none(root):
    mask = np.zeros(SIZE, np.uint8)
    mask[0] = 255
    mask[1, 0] = 1
    save(root / 'small/annotations/s01_z10.png', mask)
    report = check_dataset(root, 'small', 'half', SIZE, ignore_index=255)
    assert report.subsets['train'] == SubsetCounts(3, 2, 2, 4 / 66)


@pytest.mark.parametrize(
    ('dtype', 'mode', 'words'),
    [(np.uint8, 'RGB', 'RGB'), (np.uint16, None, '16-bit'), (np.uint8, 'P', 'palette'), (bool, None, '1-bit')],
)
def test_masks_of_another_kind(root, dtype, mode, words):
    message = mask_problem(root, np.eye(*SIZE).astype(dtype), mode)
    assert message == f'is a {words} image; expected an 8-bit gray mask that holds class numbers'


def test_16_bit_images(root):
    save(root / 'small/images/s01_z10.png', np.full(SIZE, 4000, np.uint16))
    assert problems(root) == [f'{root}/small/images/s01_z10.png: is a 16-bit image; expected 8-bit gray (or RGB)']


def test_files_that_nothing_would_read(root):
    (root / 'small/images/s01_z10.jpg').write_bytes(b'x')
    (root / 'small/images/.hidden').write_bytes(b'x')
    assert problems(root) == [f'{root}/small/images/s01_z10.jpg: not a .png file; expected only .png files here']


def test_lists(root):
    (root / 'splits/half_train.txt').write_text('s01_z10\ns01_z10\ns03_z10\nnobody\n')
    splits = root / 'splits'
    assert problems(root) == [
        f"{splits}/half_train.txt: 's01_z10' is listed 2 times; expected once",
        f"{splits}/half_train.txt: 'nobody' has no image; expected {root}/small/images/nobody.png",
        f"{splits}/half_train.txt: 'nobody' has no annotation; expected {root}/small/annotations/nobody.png",
        f"{splits}: 's03_z10' is in both half_train.txt and half_val.txt; expected in one",
    ]
    (root / 'splits/half_val.txt').write_text('\n')
    assert f'{splits}/half_val.txt: is empty; expected one name a line' in problems(root)


def test_training_masks_without_fluid(root):
    (root / 'splits/half_train.txt').write_text('s01_z15\n')
    assert len(problems(root)) == 1
    assert 'half_train.txt: none of its 1 masks has a pixel of vessel' in problems(root, foreground='vessel')[0]


def test_a_class_that_no_training_mask_has(root):
    assert any('half_train.txt: none of its 3 masks has a pixel of class 2;' in line for line in problems(root, classes=3))
    for name in NAMES[:3]:
        save(root / f'small/annotations/{name}.png', np.ones(SIZE, np.uint8))
    (problem,) = problems(root)
    assert 'half_train.txt: none of its 3 masks has a pixel of class 0 (background); a model cannot learn it' in problem


def test_validation_masks_without_fluid_are_a_warning(root):
    report = check_dataset(root, 'small', 'half', SIZE)
    assert report.warnings == [
        f'{root}/splits/half_val.txt: none of its 1 masks has a pixel of fluid, whose scores say nothing'
    ]


def test_index(root):
    index = root / 'index.csv'
    assert load_index(root)['s02_z10'].subject == 2
    assert load_index(root)['s02_z10'].slice == 10
    lines = index.read_text().splitlines()
    index.write_text('\n'.join([*lines[:-1], lines[1]]))
    assert problems(root) == [
        f"{index}: 's01_z10' is listed 2 times; expected once",
        f"{index}: 's03_z10' has files but is not listed",
    ]
    with pytest.raises(InputError, match="'s01_z10' is listed more than once"):
        load_index(root)
    index.write_text('\n'.join([*lines, 's04_z10,four,10,x']))
    assert problems(root) == [
        f"{index}, line 6: name 's04_z10', subject 'four', slice '10'; expected a name and two whole numbers, 0 or more"
    ]
    index.write_text('name,subject\n')
    with pytest.raises(InputError, match='no column slice'):
        load_index(root)
    index.unlink()
    assert 'no such file' in problems(root)[0]


@pytest.mark.parametrize('row', ['s01_z10,-1,0,x', 's01_z10,1,-9,x', ',1,0,x', 's01_z10,1', f's01_z10,{"9" * 5000},0,x'])
def test_rows_of_the_index_that_are_none(root, row):
    index = root / 'index.csv'
    index.write_text('\n'.join([*index.read_text().splitlines()[:1], row, *index.read_text().splitlines()[2:]]))
    first, *_ = problems(root)
    assert first.startswith(f'{index}, line 2: name ') and first.endswith('; expected a name and two whole numbers, 0 or more')


@pytest.mark.parametrize('line', [0, 1])
def test_a_cell_of_the_index_that_python_does_not_take(root, line):
    index = root / 'index.csv'
    lines = index.read_text().splitlines()
    lines[line] += 'x' * 200000
    index.write_text('\n'.join(lines))
    first, *_ = problems(root)
    assert first.startswith(f'{index}, line {line + 1}: field larger than field limit')
    with pytest.raises(InputError, match='field larger than field limit'):
        load_index(root)


def test_a_list_to_validate_on_that_is_missing_or_none(root):
    path = root / 'splits/half_val.txt'
    path.unlink()
    assert problems(root) == [f'{path}: no such file; expected the scans to validate on, one name a line']
    assert problems(root, 'all') == []
    with pytest.raises(InputError, match=r"'half' has nothing to validate on; expected one name a line$"):
        read_split(root, 'half', 'val')
    path.mkdir()
    with pytest.raises(InputError, match=r'half_val\.txt: a folder; expected a file'):
        problems(root)


@pytest.mark.parametrize('kind', ['images', 'annotations'])
def test_what_is_no_file_is_named_and_not_read(root, kind):
    path, other = (root / f'small/{kind}/{name}.png' for name in NAMES[:2])
    path.unlink()
    os.mkfifo(path)
    other.unlink()
    other.symlink_to('/dev/zero')
    found = [line for line in problems(root) if kind in line]
    assert found == [f'{one}: a pipe, socket or device; expected a file' for one in (path, other)]


def test_read_split(root):
    assert read_split(root, 'half', 'train') == ['s01_z10', 's01_z15', 's02_z10']
    assert read_split(root, 'all', 'train') == NAMES
    assert split_names(root) == ['all', 'half']
    with pytest.raises(InputError, match=r"unknown split 'hafl'; did you mean 'half'\? Splits here: all, half"):
        read_split(root, 'hafl', 'train')
    with pytest.raises(InputError, match=r"unknown split 'xyz'\. Splits here: all, half$"):
        read_split(root, 'xyz', 'train')
    with pytest.raises(InputError, match=r"'all' has nothing to validate on; choose one of half"):
        read_split(root, 'all', 'val')
    with pytest.raises(InputError, match="subset 'test'"):
        read_split(root, 'half', 'test')
    (root / 'splits/half_val.txt').write_text('')
    with pytest.raises(InputError, match='is empty'):
        read_split(root, 'half', 'val')
    (root / 'splits/half_val.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(InputError, match='not UTF-8 at byte 0; expected a UTF-8 text'):
        read_split(root, 'half', 'val')


def test_missing_data_set_says_how_to_make_it(root):
    how = r'python tools/dataset_converters/<duke_dme, hrf, folder or phantom>\.py'
    for call in (lambda path: check_dataset(path, 'small', 'half'), load_index, lambda path: read_split(path, 'half', 'val')):
        with pytest.raises(InputError, match=how):
            call(root / 'nowhere')
    with pytest.raises(InputError, match='huge/images: no such folder; sizes in this data set: small'):
        check_dataset(root, 'huge', 'half')


def test_images_that_programs_show_differently(root):
    path = root / 'small/images/s01_z10.png'
    with Image.open(path) as image:
        pixels, exif = image.copy(), image.getexif()
    for orientation, said in ((1, []), (3, [f'{path}: is to be shown turned'])):
        exif[0x0112] = orientation
        pixels.save(path, exif=exif)
        assert [line[: len(said[0])] for line in problems(root)] == said
    save(path, np.zeros((1, 6), np.uint8))
    assert problems(root, size=None)[0] == f'{path}: is 1x6 (height x width); expected a scan or a mask'


def test_images_that_show_nothing_and_masks_that_may_be_inverted_are_warnings(root):
    save(root / 'small/images/s02_z10.png', np.full(SIZE, 7, np.uint8))
    save(root / 'small/annotations/s03_z10.png', 1 - np.eye(*SIZE, dtype=np.uint8))
    report = check_dataset(root, 'small', 'half', SIZE)
    assert report.problems == [] and report.warnings == [
        f'{root}/small/images: 1 of 4 show nothing, all their pixels are alike (first: s02_z10)',
        f'{root}/small/annotations: 1 of 4 call more than half of their pixels fluid; is it the background? (first: s03_z10)',
    ]


@pytest.mark.parametrize(('index', 'said'), [
    ('name;subject;slice\n', "no column name, subject, slice in its first line 'name;subject;slice'; expected .* commas"),
    ('name,subject,slice,subject\n', "has more than one column 'subject'; expected one"),
    ('name,subject,slice\n', "'s01_z10' has files but is not listed"),
])  # fmt: skip
def test_an_index_that_lists_nothing(root, index, said):
    (root / 'index.csv').write_text(index)
    assert re.search(rf'index\.csv: {said}', problems(root)[0])
