import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_data import VOLUME, pixels, write_subject

from octfluid.datasets.prepare.duke_dme import graded_columns, prepare
from octfluid.datasets.splits import GRADED, load_index
from octfluid.utils.errors import InputError


@pytest.fixture
def raw(tmp_path):
    for number in range(1, 11):
        write_subject(tmp_path / 'raw', number)
    return tmp_path / 'raw'


def rows_of(folder):
    with open(folder / 'index.csv', newline='') as file:
        return list(csv.DictReader(file))


def test_masks_images_and_index(tmp_path, raw):
    images, _ = write_subject(raw, 1, graded=(0, 2), pockets=(2,))
    made = prepare(tmp_path, tmp_path / 'out')  # the files are one level down, as in the archive
    assert (made.slices, made.graded, made.with_fluid, list(made.sources)) == (40, 20, 10, list(range(1, 11)))
    expected = np.zeros(VOLUME[:2], np.uint8)
    expected[4:12, 10:18] = 1
    np.testing.assert_array_equal(pixels(tmp_path / 'out/native/images/s01_z02.png'), images[:, :, 2])
    np.testing.assert_array_equal(pixels(tmp_path / 'out/native/annotations/s01_z02.png'), expected)
    small_mask = pixels(tmp_path / 'out/paper_256/annotations/s01_z02.png')
    assert small_mask.shape == (256, 256) and set(np.unique(small_mask)) == {0, 1}
    assert len(list((tmp_path / 'out/paper_256/images').iterdir())) == 20
    rows = rows_of(tmp_path / 'out')
    assert [row['name'] for row in rows[:3]] == ['s01_z00', 's01_z02', 's02_z01']
    graded = {key: rows[1].pop(key) for key in GRADED}
    assert made.estimated == 20 and graded == {
        GRADED[0]: str(round(VOLUME[1] * 117 / 768)),
        GRADED[1]: str(round(VOLUME[1] * 659 / 768) - 1),
    }
    assert rows[1] == {
        'name': 's01_z02', 'paper_name': '', 'subject': '1', 'slice': '2', 'fluid_px_native': '64',
        'fluid_px_256': str(small_mask.sum()),
    }  # fmt: skip
    assert (tmp_path / 'out/splits/subject01_val.txt').read_text() == 's01_z00\ns01_z02\n'


def test_graded_columns_are_those_with_layers_and_reach_all_fluid(tmp_path, raw):
    layers = np.full((8, *VOLUME[1:]), np.nan)
    layers[3, 7:20, 1], layers[5, 12:22, 1] = 4.0, 6.0
    write_subject(raw, 1, graded=(0, 1), manualLayers1=layers)
    assert prepare(raw, tmp_path / 'out').estimated == 19  # slice 0 and the other subjects
    assert load_index(tmp_path / 'out')['s01_z01'].graded == (7, 21)

    mask = np.zeros((4, 768), np.uint8)
    assert graded_columns(mask, None) == (117, 658)
    mask[1, 99] = mask[2, 700] = 1
    assert graded_columns(mask, None) == (99, 700)
    assert graded_columns(mask, np.where(np.arange(768) < 640, 5.0, np.nan)[None]) == (0, 700)


def test_threshold_and_ungraded_pixels_of_grader_2(tmp_path, raw):
    fluid = np.full(VOLUME, np.nan)
    fluid[:, :, 0] = 0
    fluid[0, :4, 0] = [0.3, 0.31, 15, np.nan]
    write_subject(raw, 1, manualFluid2=fluid)
    for number in range(2, 11):
        (raw / f'Subject_{number:02d}.mat').unlink()
    assert prepare(raw, tmp_path / 'out', grader=2, allow_missing=True).with_fluid == 1
    assert pixels(tmp_path / 'out/native/annotations/s01_z00.png')[0, :5].tolist() == [0, 1, 1, 0, 0]


def test_missing_subjects(tmp_path, raw):
    (raw / 'Subject_10.mat').unlink()
    with pytest.raises(InputError, match=r'Subject_10\.mat'):
        prepare(raw, tmp_path / 'out')
    assert list(prepare(raw, tmp_path / 'out', allow_missing=True).sources) == list(range(1, 10))


@pytest.mark.parametrize(('change', 'said'), [
    (lambda raw: shutil.rmtree(raw), r'raw: no Subject_\*\.mat'),
    (lambda raw: [write_subject(raw, number, (), ()) for number in range(1, 11)], 'manualFluid1 is NaN everywhere'),
    (lambda raw: write_subject(raw, 3, manualLayers1=np.zeros((8, VOLUME[1] + 1, VOLUME[2]))), r'Subject_03\.mat'),
    (lambda raw: (raw / 'Subject_07.mat').write_bytes((raw / 'Subject_07.mat').read_bytes()[:700]), r'Subject_07\.mat'),
])  # fmt: skip
def test_what_cannot_be_converted_leaves_nothing(tmp_path, raw, change, said):
    change(raw)
    with pytest.raises(InputError, match=said):
        prepare(raw, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()


@pytest.mark.slow
def test_real_files_are_the_papers_and_the_volumes(tmp_path):
    if 'OCTFLUID_SHARED_DATA' not in os.environ:
        pytest.skip('OCTFLUID_SHARED_DATA is not set: no real Duke data to convert')
    shared, out = Path(os.environ['OCTFLUID_SHARED_DATA']) / 'duke_dme', tmp_path / 'duke_dme'
    made = prepare(shared / 'mat', out)
    assert (made.slices, made.graded, made.with_fluid) == (610, 110, 78)
    index = rows_of(out)
    with open(shared / 'index.csv', newline='') as file:
        reference = list(csv.DictReader(file))
    assert [(row['paper_name'], int(row['subject']), int(row['slice']), int(row['fluid_px_native'])) for row in index] == [
        (row['paper_name'], int(row['subject']), int(row['slice']), int(row['fluid_px'])) for row in reference
    ]
    for row in index:
        image, mask = (pixels(out / f'paper_256/{kind}/{row["name"]}.png') for kind in ('images', 'annotations'))
        np.testing.assert_array_equal(image, pixels(shared / f'paper_256/images/{row["paper_name"]}.png'))
        np.testing.assert_array_equal(mask, pixels(shared / f'paper_256/annotations/{row["paper_name"]}.png'))
        assert int(row['fluid_px_256']) == mask.sum()
    paper_name = {row['name']: row['paper_name'] for row in index}
    for subset, count in (('train', 88), ('val', 22)):
        ours = [paper_name[name] for name in (out / f'splits/paper_{subset}.txt').read_text().split()]
        assert set(ours) == set((shared / f'paper_256/splits/{subset}.txt').read_text().split()) and len(ours) == count
