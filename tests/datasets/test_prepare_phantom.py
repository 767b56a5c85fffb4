import pytest
from tiny_data import contents, pixels

from octfluid.datasets.prepare.phantom import write_phantom_dataset
from octfluid.utils.errors import InputError

SMALL = {'height': 64, 'width': 80}


def test_layout_index_and_split(tmp_path):
    out = tmp_path / 'data'
    made = write_phantom_dataset(out, subjects=6, slices=4, **SMALL)
    scans = [f's{subject:02d}_z{z:02d}' for subject in range(1, 7) for z in range(4)]
    for kind in ('images', 'annotations'):
        assert sorted(path.name for path in (out / 'native' / kind).iterdir()) == [f'{name}.png' for name in scans]
    assert (out / 'splits/heldout_train.txt').read_text().split() == scans[:16]
    assert (out / 'splits/heldout_val.txt').read_text().split() == scans[16:]
    rows = (out / 'index.csv').read_text().splitlines()
    areas = [pixels(out / f'native/annotations/{name}.png').sum() for name in scans]
    assert len(rows) == 25 and rows[6] == f's02_z01,,2,1,{areas[5]}'
    assert pixels(out / 'native/images/s02_z01.png').shape == (64, 80)
    # 30 % of four slices, rounded, is one slice without fluid in each subject.
    assert [sum(area == 0 for area in areas[start : start + 4]) for start in range(0, 24, 4)] == [1] * 6
    assert made[:3] == (16, 8, 18)
    assert made.fluid_share == pytest.approx(sum(areas) / (24 * 64 * 80))


def test_seed_and_number_of_subjects(tmp_path):
    for name, subjects, seed in (('a', 2, 0), ('more', 3, 0), ('seed', 2, 1)):
        write_phantom_dataset(tmp_path / name, subjects=subjects, slices=1, seed=seed, **SMALL)
    few, more, other = (contents(tmp_path / name) for name in ('a', 'more', 'seed'))
    images = [path for path in few if 'images' in path.parts]
    assert len(images) == 2 and all(few[path] == more[path] != other[path] for path in images)


@pytest.mark.parametrize(('name', 'value'), [('subjects', 1), ('slices', 0), ('height', 63), ('width', 10), ('seed', -1)])
def test_bad_arguments_make_nothing(tmp_path, name, value):
    with pytest.raises(InputError, match=f'{name}: {value}; expected at least'):
        write_phantom_dataset(tmp_path / 'p/data', **{name: value})
    assert not (tmp_path / 'p').exists()
