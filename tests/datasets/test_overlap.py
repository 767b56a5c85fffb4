import shutil

import numpy as np
import pytest
from tiny_data import NAMES, problems, save

from octfluid.datasets.integrity import check_dataset, refuse_overlap, subject_overlap
from octfluid.datasets.phantoms import make_phantom
from octfluid.utils.errors import InputError


def test_subject_overlap(root):
    assert subject_overlap(root, 'half') == []
    assert subject_overlap(root, 'all') == []
    (root / 'splits/half_val.txt').write_text('s02_z10\ns03_z10\n')
    assert subject_overlap(root, 'half') == [2]
    (root / 'splits/half_val.txt').write_text('s09_z10\n')
    with pytest.raises(InputError, match=r"half_val\.txt: 's09_z10' is not in"):
        subject_overlap(root, 'half')


def write_split(root, split, train, val):
    (root / f'splits/{split}_train.txt').write_text('\n'.join(train))
    (root / f'splits/{split}_val.txt').write_text('\n'.join(val))


def both_ways(root, split):
    """Return what `check_dataset` finds, and what `refuse_overlap` says, which looks at the lists alone."""
    found = problems(root, split)
    if not found:
        refuse_overlap(root, split)
        return found, None
    with pytest.raises(InputError) as caught:
        refuse_overlap(root, split)
    return found, str(caught.value)


@pytest.mark.parametrize('split', ['subject01', 'train2-3_test1-1', 'half-inner1', 'mine-inner2', 'subject02-inner1'])
def test_a_subject_on_both_sides_of_a_split_by_subject_is_refused(root, split):
    write_split(root, split, ['s02_z10', 's01_z10'], ['s01_z15'])
    found, message = both_ways(root, split)
    assert found == [message]
    assert message == (
        f"{root}/splits/{split}_val.txt: 's01_z15' is of subject 1, and so is 's01_z10' in {split}_train.txt; "
        f"expected each subject of split '{split}' on one side only"
    )


@pytest.mark.parametrize('split', ['paper', 'mine'])
def test_a_subject_on_both_sides_of_another_split_is_no_problem(root, split):
    write_split(root, split, ['s02_z10', 's01_z10'], ['s01_z15'])
    assert both_ways(root, split) == ([], None)
    assert subject_overlap(root, split) == [1]


@pytest.mark.parametrize('split', ['paper', 'mine', 'subject01', 'half-inner1'])
def test_an_image_on_both_sides_of_any_split_is_refused_once(root, split):
    write_split(root, split, ['s02_z10', 's01_z10'], ['s01_z10'])
    found, message = both_ways(root, split)
    assert found == [f"{root}/splits: 's01_z10' is in both {split}_train.txt and {split}_val.txt; expected in one"] == [message]


@pytest.mark.parametrize(('split', 'named'), [('subject02', '2'), ('train1-2_test2-2', '2')])
def test_a_split_must_validate_on_the_subjects_of_its_name(root, split, named):
    write_split(root, split, ['s01_z10'], ['s02_z10'])
    assert both_ways(root, split) == ([], None)
    write_split(root, split, ['s01_z10'], ['s02_z10', 's03_z10'])
    found, message = both_ways(root, split)
    assert found == [message]
    assert message == (
        f"{root}/splits/{split}_val.txt: 's03_z10' is of subject 3; expected only subjects that '{split}' names: {named}"
    )


def test_inner_splits_validate_on_whom_they_like(root):
    write_split(root, 'subject03-inner1', ['s01_z10'], ['s02_z10'])
    assert both_ways(root, 'subject03-inner1') == ([], None)


def test_a_picture_on_both_sides_under_two_names_is_refused(root):
    shutil.copy(root / 'small/images/s01_z15.png', root / 'small/images/s03_z10.png')
    assert problems(root) == [
        f"{root}/splits: 's03_z10' in half_val.txt is pixel by pixel 's01_z15' in half_train.txt; "
        'expected no picture on both sides'
    ]


def test_a_likely_copy_on_both_sides_is_a_warning(root):
    scan = make_phantom(1, 64, 96, fluid=True)[0]
    for name, pixels in zip(NAMES, (scan, scan[::-1], scan[:, ::-1], np.clip(scan * 1.1 + 5, 0, 255)), strict=True):
        save(root / f'small/images/{name}.png', pixels.astype(np.uint8))
        save(root / f'small/annotations/{name}.png', np.pad(np.ones((2, 2), np.uint8), ((0, 62), (0, 94))))
    report = check_dataset(root, 'small', 'half')
    assert report.problems == []
    assert report.warnings == [f'{root}/splits/half_val.txt: 1 scans look like copies of training scans: s03_z10 and s01_z10']
