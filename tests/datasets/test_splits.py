import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_data import NAMES

from octfluid.datasets.splits import (
    DUKE_LISTS,
    HALVES,
    INNER_FOLDS,
    LEAVE_ONE_OUT,
    GradedBScan,
    Split,
    build_splits,
    expand_protocols,
    held_out_subjects,
    inner_folds,
    inner_parent,
    is_by_subject,
    is_subject_split,
    load_index,
    paper_rows,
    read_split,
    split_names,
    subject_split,
    write_splits,
)
from octfluid.utils.errors import InputError

SUBJECTS = [f'subject{number:02d}' for number in range(1, 11)]


@pytest.fixture(scope='module')
def paper_scans():
    """The paper's 110 scans, every second one with fluid."""
    return [GradedBScan(row.scan.subject, row.scan.slice, k % 2 == 0) for k, row in enumerate(paper_rows())]


@pytest.fixture(scope='module')
def splits(paper_scans):
    return build_splits(paper_scans)


def subjects(names):
    return {int(name.split('_')[0][1:]) for name in names}


def test_paper_table_is_the_published_list():
    rows = paper_rows()
    assert [row.paper_name for row in rows] == [f'img_{k}' for k in range(110)]
    assert len({row.scan for row in rows}) == 110
    assert Counter(row.subset for row in rows) == {'train': 88, 'val': 22}
    assert Counter(row.scan.subject for row in rows) == dict.fromkeys(range(1, 11), 11)
    # Entries read off the authors' list by eye.
    assert (rows[0].scan.name, rows[0].subset) == ('s01_z10', 'train')
    assert rows[79].subset == rows[106].subset == rows[39].subset == 'val'


def test_outer_splits(splits):
    outer = ['paper', *HALVES, *SUBJECTS, 'all']
    assert set(splits) == {*outer, *(f'{name}-inner{k}' for name in outer for k in (1, 2, 3))}
    assert (len(splits['paper'].train), len(splits['paper'].val)) == (88, 22)
    assert subjects(splits['train6-10_test1-5'].train) == {6, 7, 8, 9, 10}
    assert subjects(splits['train6-10_test1-5'].val) == {1, 2, 3, 4, 5}
    assert splits['train1-5_test6-10'] == Split(splits['train6-10_test1-5'].val, splits['train6-10_test1-5'].train)
    for number, name in enumerate(SUBJECTS, start=1):
        assert subjects(splits[name].val) == {number}
        assert subjects(splits[name].train) == set(range(1, 11)) - {number}
    assert len(splits['all'].train) == 110
    assert splits['all'].val == ()


def test_inner_splits_divide_the_training_set_by_subject(splits):
    for outer in ('paper', *HALVES, *SUBJECTS, 'all'):
        inner = [splits[f'{outer}-inner{k}'] for k in (1, 2, 3)]
        assert sorted(name for split in inner for name in split.val) == sorted(splits[outer].train)
        for split in inner:
            assert sorted(split.train + split.val) == sorted(splits[outer].train)
            assert not subjects(split.train) & subjects(split.val)


def test_inner_folds_by_hand():
    with_fluid = {7: 5, 6: 4, 5: 3, 2: 2, 4: 2, 3: 1, 1: 0}
    scans = [GradedBScan(subject, z, z < count) for subject, count in with_fluid.items() for z in range(6)]
    # First round: 7, 6, 5 to folds 1, 2, 3. Second: the fold with 3 so far takes subject 2, that with 4 takes 4, that with 5
    # takes 3. Now the folds hold 6, 6 and 5, so the third takes subject 1.
    assert inner_folds(scans) == [[3, 7], [4, 6], [1, 2, 5]]


@given(
    st.lists(st.builds(GradedBScan, st.integers(1, 12), st.integers(0, 120), st.booleans()), unique_by=lambda scan: scan.name),
    st.randoms(),
)
def test_any_scans_give_sound_splits(scans, random):
    splits = build_splits(scans)
    shuffled = list(scans)
    random.shuffle(shuffled)
    assert build_splits(shuffled) == splits
    present = {scan.name for scan in scans}
    for name, split in splits.items():
        assert not set(split.train) & set(split.val)
        assert {*split.train, *split.val} <= present
        assert list(split.train) == sorted(split.train, key=lambda name: [int(part[1:]) for part in name.split('_')])
        assert re.fullmatch(DUKE_LISTS, f'{name}_train.txt')
        assert name == 'all' or (split.train and split.val)
    if len({scan.subject for scan in scans}) >= INNER_FOLDS:
        sizes = [len(fold) for fold in inner_folds(scans)]
        assert max(sizes) - min(sizes) <= 1


def test_names_tell_who_is_held_out(splits):
    for name, split in splits.items():
        held_out = held_out_subjects(name)
        if held_out is not None:
            assert not subjects(split.train) & set(held_out)
            if inner_parent(name) is None:
                assert subjects(split.val) == set(held_out)
        assert is_subject_split(name) == (name in SUBJECTS)
        assert is_by_subject(name) == (name not in ('paper', 'all'))
    assert list(held_out_subjects('subject03')) == list(held_out_subjects('subject03-inner2')) == [3]
    assert [held_out_subjects(name) for name in ('paper', 'all', 'paper-inner1', 'mine', 'subject3')] == [None] * 5
    assert (subject_split(3), subject_split('12')) == ('subject03', 'subject12')
    assert (inner_parent('paper-inner1'), inner_parent('paper')) == ('paper', None)


def test_protocols_stand_for_splits(tmp_path, splits):
    write_splits(tmp_path / 'splits', splits)
    rows = [f's{subject:02d}_z10,{subject},10\n' for subject in range(1, 11)]
    (tmp_path / 'index.csv').write_text('name,subject,slice\n' + ''.join(rows))
    assert expand_protocols(tmp_path, ['paper', LEAVE_ONE_OUT, 'halves']) == ['paper', *SUBJECTS, *HALVES]


def test_read_index(root):
    assert load_index(root)['s02_z10'] == ('s02_z10', 2, 10, None)
    (root / 'index.csv').write_bytes(b'\xef\xbb\xbf' + (root / 'index.csv').read_bytes())  # as a spreadsheet program saves it
    assert list(load_index(root)) == NAMES


@pytest.mark.parametrize('row', [
    's01_z10,-1,0', ',1,0', 's01_z10,1', 's01_z10,one,0', 's02_z10,2,10',
])  # fmt: skip
def test_a_bad_row_of_the_index_is_refused(root, row):
    (root / 'index.csv').write_text(f'name,subject,slice\ns02_z10,2,10\n{row}\n')
    with pytest.raises(InputError, match=r'index\.csv, line [23]: '):
        load_index(root)


def test_read_split(root):
    assert read_split(root, 'half', 'train') == ['s01_z10', 's01_z15', 's02_z10']
    assert split_names(root) == ['all', 'half']


@pytest.mark.parametrize(('split', 'said'), [('hafl', "'hafl'.*half"), ('all', r'all_val\.txt'), ('half', r'half_val\.txt')])
def test_splits_that_cannot_be_read_are_refused(root, split, said):
    (root / 'splits/half_val.txt').write_bytes(b'')
    with pytest.raises(InputError, match=said):
        read_split(root, split, 'val')
