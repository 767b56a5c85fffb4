import os
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image
from tiny_data import NAMES, SIZE, check, problems, save

from octfluid.datasets.integrity import DatasetSpec, check_dataset, refuse_overlap
from octfluid.datasets.phantoms import make_phantom
from octfluid.utils.errors import InputError


def test_sound_data_set(root):
    report = check(root)
    assert report.problems == []
    assert report.subsets == {'train': (3, 2, 2, 9 / 72), 'val': (1, 1, 0, 0.0)}
    assert report.warnings == []
    assert set(check(root, 'all').subsets) == {'train'}


def test_no_such_data_set_size_or_split(root):
    for arguments in ((root / 'nowhere', 'small', 'half'), (root, 'huge', 'half'), (root, 'small', 'hafl')):
        with pytest.raises(InputError, match=r'nowhere|huge/images: .*small|hafl.*half'):
            check_dataset(DatasetSpec(*arguments))


def named(root, **options):
    return [line.partition(': ')[0].removeprefix(f'{root}/') for line in problems(root, **options)]


def test_files_that_a_list_names_and_that_are_missing(root):
    (root / 'small/annotations/s01_z15.png').unlink()
    (root / 'small/images/s03_z10.png').rename(root / 'small/images/s03_z10.jpg')
    assert named(root) == ['splits/half_train.txt', 'splits/half_val.txt']


def test_wrong_sizes(root):
    save(root / 'small/images/s01_z10.png', np.eye(4, 5, dtype=np.uint8))
    save(root / 'small/annotations/s01_z15.png', np.zeros((3, 6), np.uint8))
    image, mask = 'small/images/s01_z10.png', 'small/annotations/s01_z15.png'
    assert named(root) == [image, mask]
    # Without a size for all, a mask must have the size of its own image.
    assert named(root, size=None) == ['small/annotations/s01_z10.png', mask]


def damaged(path):
    path.write_bytes(path.read_bytes()[:-28])


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new('L', SIZE[::-1]).save(path, exif=exif)


@pytest.mark.parametrize('kind', ['images', 'annotations'])
@pytest.mark.parametrize('spoil', [
    damaged, turned, lambda path: path.write_bytes(b''), lambda path: (path.unlink(), os.mkfifo(path)),
    lambda path: (path.unlink(), path.symlink_to('/dev/zero')), lambda path: (path.unlink(), path.mkdir()),
    lambda path: save(path, np.full(SIZE, 4000, np.uint16)),
])  # fmt: skip
def test_files_that_are_no_such_pictures_are_named_on_one_line(root, kind, spoil):
    path = root / f'small/{kind}/s01_z10.png'
    (root / f'small/{kind}/.hidden').write_bytes(b'x')
    spoil(path)
    (problem,) = problems(root)
    assert problem.startswith(str(path)) and '\n' not in problem


@pytest.mark.parametrize(('values', 'options', 'sound'), [
    ([0, 255], {}, False), ([0, 255], {'ignore_index': 255}, True), ([0, 3, 255], {'ignore_index': 255}, False),
])  # fmt: skip
def test_mask_values(root, values, options, sound):
    save(root / 'small/annotations/s01_z10.png', np.resize(np.array(values, np.uint8), SIZE))
    found = problems(root, **options)
    assert found == [] if sound else 'small/annotations/s01_z10.png: ' in found[0]


def test_lists(root):
    (root / 'splits/half_train.txt').write_text('s01_z10\ns01_z10\ns03_z10\nnobody\n')
    assert named(root) == ['splits/half_train.txt', 'splits/half_train.txt', 'splits']
    (root / 'splits/half_val.txt').unlink()
    assert 'splits/half_val.txt' in named(root)


def test_index(root):
    lines = (root / 'index.csv').read_text().splitlines()
    for changed, found in ((lines[:-1], 'index.csv'), ([*lines, 's04_z10,four,10,x'], 'index.csv, line 6')):
        (root / 'index.csv').write_text('\n'.join(changed))
        assert named(root) == [found]


@pytest.mark.parametrize(('fluid', 'classes', 'missing'), [
    (None, ('background', 'one', 'two'), 'class 2'), (0, ('background', 'vessel'), 'vessel'),
])  # fmt: skip
def test_classes_that_no_training_mask_has(root, fluid, classes, missing):
    for name in NAMES[:3] if fluid is not None else ():
        save(root / f'small/annotations/{name}.png', np.full(SIZE, fluid, np.uint8))
    (problem,) = problems(root, classes=classes)
    assert 'half_train.txt: ' in problem and missing in problem


def test_masks_that_may_be_inverted_are_a_warning(root):
    save(root / 'small/annotations/s03_z10.png', 1 - np.eye(*SIZE, dtype=np.uint8))
    report = check(root)
    assert report.problems == []
    assert 's03_z10' in report.warnings[0]


def test_scans_filled_with_another_gray_than_white_are_a_warning(root):
    scan = np.arange(600, dtype=np.uint8).reshape(20, 30) % 200
    scan[:6, :9] = 230
    save(root / 'small/images/s01_z15.png', scan)
    (warning,) = check(root, size=None).warnings
    assert warning.startswith(f'{root}/small/images: 1 ') and 's01_z15' in warning


BOTH, IMAGE = "'s01_z15' is of subject 1, and so is 's01_z10'", "'s01_z10' is in both"


@pytest.mark.parametrize(('split', 'train', 'val', 'said'), [
    ('subject01', 's02_z10 s01_z10', 's01_z15', BOTH), ('train2-3_test1-1', 's02_z10 s01_z10', 's01_z15', BOTH),
    ('half-inner1', 's02_z10 s01_z10', 's01_z15', BOTH), ('paper', 's02_z10 s01_z10', 's01_z15', None),
    ('subject01', 's02_z10 s01_z10', 's01_z10', IMAGE), ('paper', 's02_z10 s01_z10', 's01_z10', IMAGE),
    # A split validates on the subjects of its name; inner splits may do so on any.
    ('train1-2_test2-2', 's01_z10', 's02_z10 s03_z10', "'s03_z10' is of subject 3"),
    ('subject02', 's01_z10', 's02_z10', None), ('subject03-inner1', 's01_z10', 's02_z10', None),
])  # fmt: skip
def test_what_may_be_on_both_sides_of_a_split(root, split, train, val, said):
    (root / f'splits/{split}_train.txt').write_text(train.replace(' ', '\n'))
    (root / f'splits/{split}_val.txt').write_text(val.replace(' ', '\n'))
    report = check(root, split)
    with pytest.raises(InputError) if said else nullcontext() as caught:
        refuse_overlap(root, split)
    assert report.problems == ([str(caught.value)] if said else []) and (said or '') in ''.join(report.problems)
    assert report.shared_subjects == ([1] if 's01' in train and 's01' in val else [])


def test_a_picture_on_both_sides_under_two_names_is_refused(root):
    shutil.copy(root / 'small/images/s01_z15.png', root / 'small/images/s03_z10.png')
    (problem,) = problems(root)
    assert "'s03_z10' is pixel by pixel 's01_z15'" in problem


def test_a_likely_copy_on_both_sides_is_a_warning(root):
    scan = make_phantom(1, 64, 96, fluid=True)[0]
    for name, pixels in zip(NAMES, (scan, scan[::-1], scan[:, ::-1], np.clip(scan * 1.1 + 5, 0, 255)), strict=True):
        save(root / f'small/images/{name}.png', pixels.astype(np.uint8))
        save(root / f'small/annotations/{name}.png', np.pad(np.ones((2, 2), np.uint8), ((0, 62), (0, 94))))
    report = check(root, size=None)
    assert report.problems == []
    (warning,) = report.warnings
    assert warning.endswith(': s03_z10 and s01_z10')
