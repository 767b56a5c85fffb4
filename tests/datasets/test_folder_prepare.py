import os
import re

import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.folder_prepare import FolderSummary, prepare_folder
from octfluid.utils.errors import InputError

SHAPES = {'Cirrus_1': (5, 7), 'Cirrus_2': (6, 4), 'Topcon_1': (3, 3)}
BY_DEVICE = r'([A-Z][a-z]+)_\d+'


def scan_of(name):
    return np.random.default_rng(len(name)).integers(0, 256, SHAPES[name], dtype=np.uint8)


def save(path, pixels):
    Image.fromarray(pixels).save(path)


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.fixture
def raw(tmp_path):
    """Three scans of two devices; the first two hold 4 and 2 pixels of fluid, saved as 255 and as 1, the third none."""
    for kind in ('images', 'masks'):
        (tmp_path / 'raw' / kind).mkdir(parents=True)
    for name, fluid, value in (('Cirrus_1', 4, 255), ('Cirrus_2', 2, 1), ('Topcon_1', 0, 1)):
        mask = np.zeros(SHAPES[name], np.uint8)
        mask[1, :fluid] = value
        save(tmp_path / f'raw/images/{name}.png', scan_of(name))
        save(tmp_path / f'raw/masks/{name}.png', mask)
    return tmp_path / 'raw'


@pytest.fixture
def prepare(raw, tmp_path):
    def call(*subject, **options):
        return prepare_folder(raw / 'images', raw / 'masks', tmp_path / 'out/data', *subject, **options)

    return call


@pytest.fixture
def refusal(prepare, tmp_path):
    """Convert what must be refused, see that nothing is left behind, and return what was said: one line."""

    def call(*subject):
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(InputError) as caught:
            prepare(*subject)
        assert sorted(tmp_path.rglob('*')) == before
        (line,) = str(caught.value).splitlines()
        return line

    return call


def test_scans_stay_as_they_are_and_masks_become_0_and_1(prepare, tmp_path):
    prepare()
    for name, fluid in (('Cirrus_1', 4), ('Cirrus_2', 2), ('Topcon_1', 0)):
        expected = np.zeros(SHAPES[name], np.uint8)
        expected[1, :fluid] = 1
        for kind, pixels in (('images', scan_of(name)), ('annotations', expected)):
            mode, found = read(tmp_path / f'out/data/native/{kind}/{name}.png')
            assert mode == 'L' and np.array_equal(found, pixels)


def test_index_numbers_patients_and_counts_their_scans_and_their_fluid(prepare, tmp_path):
    summary = prepare(BY_DEVICE)
    assert summary == FolderSummary(3, 2, 2, (), tmp_path / 'out/data')
    assert (tmp_path / 'out/data/index.csv').read_bytes() == (
        b'name,subject,slice,group,fluid_px_native\nCirrus_1,1,0,Cirrus,4\nCirrus_2,1,1,Cirrus,2\nTopcon_1,2,0,Topcon,0\n'
    )
    assert (tmp_path / 'out/data/splits/all_train.txt').read_text() == 'Cirrus_1\nCirrus_2\nTopcon_1\n'
    files = {path.relative_to(tmp_path / 'out/data').as_posix() for path in (tmp_path / 'out/data').rglob('*.*')}
    assert {path for path in files if '.png' not in path} == {'index.csv', 'splits/all_train.txt'}


def test_by_default_each_scan_is_of_a_patient_of_its_own(prepare, tmp_path):
    assert prepare().subjects == 3
    lines = (tmp_path / 'out/data/index.csv').read_text().splitlines()[1:]
    assert [line.split(',')[1:4] for line in lines] == [[str(k), '0', name] for k, name in enumerate(SHAPES, 1)]


def test_the_first_group_that_takes_part_names_the_patient(prepare, tmp_path):
    assert prepare(r'(Cir)rus_\d|(.+)').subjects == 2
    lines = (tmp_path / 'out/data/index.csv').read_text().splitlines()[1:]
    assert [line.split(',')[3] for line in lines] == ['Cir', 'Cir', 'Topcon_1']


def test_a_scan_without_a_mask_is_left_out_and_named(prepare, raw, tmp_path):
    (raw / 'masks/Cirrus_2.png').unlink()
    summary = prepare(BY_DEVICE)
    assert (summary.scans, summary.with_fluid, summary.without_mask) == (2, 1, ('Cirrus_2',))
    assert not (tmp_path / 'out/data/native/images/Cirrus_2.png').exists()
    assert 'Cirrus_2' not in (tmp_path / 'out/data/index.csv').read_text()


def test_three_equal_channels_and_other_formats_are_scans_too(prepare, raw, tmp_path):
    gray = scan_of('Cirrus_1')
    (raw / 'images/Cirrus_1.png').unlink()
    save(raw / 'images/Cirrus_1.TIF', np.stack([gray] * 3, axis=2))
    (raw / 'images/notes.txt').write_text('not a scan')
    (raw / 'images/._Cirrus_1.png').write_text('what macOS leaves behind')
    assert prepare().scans == 3
    mode, found = read(tmp_path / 'out/data/native/images/Cirrus_1.png')
    assert mode == 'L' and np.array_equal(found, gray)


def test_a_mask_of_one_bit_is_fluid_where_it_is_white(prepare, raw, tmp_path):
    mask = np.zeros(SHAPES['Topcon_1'], bool)
    mask[0, :2] = True
    save(raw / 'masks/Topcon_1.png', mask)
    prepare()
    assert np.array_equal(read(tmp_path / 'out/data/native/annotations/Topcon_1.png')[1], mask.astype(np.uint8))


def test_progress_is_told_before_the_first_and_after_each_scan(prepare):
    told = []
    prepare(progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_an_earlier_conversion_is_replaced(prepare, raw, tmp_path):
    prepare()
    (raw / 'images/Topcon_1.png').unlink()
    assert prepare().scans == 2
    assert sorted(os.listdir(tmp_path / 'out/data/native/images')) == ['Cirrus_1.png', 'Cirrus_2.png']
    assert os.listdir(tmp_path / 'out') == ['data']


def test_a_folder_of_the_users_is_not_replaced(refusal, tmp_path):
    (tmp_path / 'out/data').mkdir(parents=True)
    (tmp_path / 'out/data/thesis.tex').write_text('years')
    assert re.search('holds files that this command did not make', refusal())
    assert (tmp_path / 'out/data/thesis.tex').read_text() == 'years'


def test_a_file_of_the_users_in_an_earlier_conversion_keeps_it(prepare, refusal, tmp_path):
    prepare()
    # The second is a scan by its place and name, and yet none that was converted.
    for name in ('notes.txt', 'images/mine.png'):
        mine = tmp_path / 'out/data/native' / name
        mine.write_text('mine')
        assert re.search(rf'{name}: not made by this converter', refusal())
        assert mine.read_text() == 'mine'
        mine.unlink()
    assert (tmp_path / 'out/data/native/images/Cirrus_1.png').is_file()


@pytest.mark.parametrize(('subject', 'message'), [
    ('(Cirrus', r"--subject '\(Cirrus': not a regular expression"),
    ('.+', r"--subject '\.\+': has no group in parentheses; expected one that names the patient"),
    (r'(Cirrus)_\d', r'images/Topcon_1: --subject .* does not match; expected it to match all names'),
    # All of a name, not only its begin, has to match.
    ('(Cirrus|Topcon)', r'images/Cirrus_1: --subject .* does not match'),
    ('(x)?.+', r'images/Cirrus_1: --subject .* does not match'),
    ('(a{99999999999})', r'not a regular expression \(the repetition number is too large\)'),
    (2000 * '(' + 'a' + 2000 * ')', r'not a regular expression \(maximum recursion depth exceeded'),
])  # fmt: skip
def test_a_pattern_that_names_no_patient_is_refused(refusal, subject, message):
    assert re.search(message, refusal(subject))


def test_folders_without_a_pair_are_refused(refusal, raw):
    for path in (raw / 'masks').iterdir():
        path.rename(path.with_name(f'mask_{path.name}'))
    assert re.search(r'images: none of its 3 scans has a mask of its name in .*masks; expected pairs', refusal())


def test_a_missing_folder_is_refused(refusal, raw):
    (raw / 'masks').rename(raw / 'truth')
    assert re.search('masks: no such folder', refusal())


def test_two_scans_of_one_name_are_refused(refusal, raw):
    save(raw / 'images/Topcon_1.bmp', scan_of('Topcon_1'))
    assert re.search(r'Topcon_1\.png: Topcon_1\.bmp is there too; expected one file of each name', refusal())


@pytest.mark.parametrize('name', ['Topcon 2', 'Ä', '-x'])
def test_names_that_lists_and_shells_could_misread_are_refused(refusal, raw, name):
    save(raw / f'images/{name}.png', scan_of('Topcon_1'))
    assert re.search(rf'{name}\.png: expected a name of letters, digits and \. _ -', refusal())


@pytest.mark.parametrize(('kind', 'pixels', 'message'), [
    ('images', np.eye(3, dtype=np.float32), r'has float32 pixels; expected 8 or 16 bits'),
    ('images', np.arange(27, dtype=np.uint8).reshape(3, 3, 3), 'is in colour; expected gray'),
    ('masks', np.eye(3, dtype=np.uint8) * 2, 'a mask with the values 0, 2; expected 0 and 1, or 0 and 255'),
    ('masks', np.arange(9, dtype=np.uint8).reshape(3, 3), 'with the values 0, 1, 2, 3, 4, 5; expected'),
    ('masks', np.eye(3, dtype=np.uint16) * 4095, 'a mask with the values 0, 4095; expected 0 and 1'),
    ('masks', np.array([[0, 1, 65535]] * 3, np.uint16), 'a mask with the values 0, 1, 65535; expected'),
    # 1 and 255 in one mask: which of them is fluid?
    ('masks', np.array([[0, 1, 255]] * 3, np.uint8), 'with the values 0, 1, 255; expected'),
    ('masks', np.zeros((3, 4), np.uint8), r'has 3x4 pixels; expected 3x3, as its scan .*images/Topcon_1\.png'),
])  # fmt: skip
def test_what_is_no_such_scan_or_mask_is_refused_by_name(refusal, raw, kind, pixels, message):
    suffix = 'tif' if pixels.dtype == np.float32 else 'png'
    (raw / f'{kind}/Topcon_1.png').unlink()
    save(raw / f'{kind}/Topcon_1.{suffix}', pixels)
    assert re.search(rf'{kind}/Topcon_1\.{suffix}: .*{message}', refusal())


def test_patients_and_names_that_differ_in_case_only_are_refused(refusal, raw):
    for kind in ('images', 'masks'):
        (raw / f'{kind}/Cirrus_2.png').rename(raw / f'{kind}/CIRRUS_2.png')
    assert 'names patients Cirrus and CIRRUS; expected one spelling' in refusal(r'([A-Za-z]+)_\d+')
    for kind in ('images', 'masks'):
        (raw / f'{kind}/CIRRUS_2.png').rename(raw / f'{kind}/CIRRUS_1.png')
    assert re.search(r'images/Cirrus_1\.png: CIRRUS_1\.png is there too', refusal())


def test_one_folder_for_both_is_refused(raw, tmp_path):
    with pytest.raises(InputError, match='is named for the scans and for the masks; expected two folders'):
        prepare_folder(raw / 'masks', raw / '../raw/masks', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_slices_are_numbered_as_people_count(prepare, raw, tmp_path):
    for number in (10, 9):
        save(raw / f'images/Topcon_{number}.png', np.eye(3, dtype=np.uint8))
        save(raw / f'masks/Topcon_{number}.png', np.eye(3, dtype=np.uint8))
    prepare(BY_DEVICE)
    rows = (tmp_path / 'out/data/index.csv').read_text().splitlines()[3:]
    assert rows == ['Topcon_1,2,0,Topcon,0', 'Topcon_9,2,1,Topcon,3', 'Topcon_10,2,2,Topcon,3']


def test_a_mask_without_a_scan_and_one_that_is_mostly_fluid_are_named(prepare, raw):
    save(raw / 'masks/Cirrus_3.png', np.eye(3, dtype=np.uint8))
    save(raw / 'masks/Topcon_1.png', 1 - np.eye(3, dtype=np.uint8))
    summary = prepare()
    assert (summary.scans, summary.without_mask) == (3, ())
    assert (summary.without_scan, summary.mostly_fluid) == (('Cirrus_3',), ('Topcon_1',))


def test_a_damaged_file_is_refused_by_name(refusal, raw):
    path = raw / 'images/Topcon_1.png'
    path.write_bytes(path.read_bytes()[:40])
    assert re.search(r'Topcon_1\.png: cannot be read as an image \(', refusal())
    save(path, scan_of('Topcon_1'))
    # Pixels said to be shorter than they are: Pillow takes what follows for a chunk, and raises SyntaxError.
    content = bytearray(path.read_bytes())
    content[content.index(b'IDAT') - 1] -= 9
    path.write_bytes(content)
    assert re.search(r'Topcon_1\.png: cannot be read as an image \(broken PNG file', refusal())


@pytest.mark.parametrize('kind', ['images', 'masks'])
def test_a_pipe_is_refused_and_not_read(refusal, raw, kind):
    path = raw / kind / 'Topcon_1.png'
    path.unlink()
    os.mkfifo(path)
    assert f'{path}: a pipe, socket or device; expected a file' in refusal()


def test_a_refused_conversion_leaves_the_earlier_one(prepare, refusal, raw, tmp_path):
    prepare()
    before = (tmp_path / 'out/data/index.csv').read_bytes()
    save(raw / 'masks/Topcon_1.png', np.eye(3, dtype=np.uint8) * 7)
    assert re.search('values 0, 7', refusal())
    assert (tmp_path / 'out/data/index.csv').read_bytes() == before


def test_folds_divide_the_patients(prepare, raw, tmp_path):
    for patient in range(5):
        for place in range(2):
            name = f'P{patient}_{place}'
            save(raw / f'images/{name}.png', np.full((4, 4), 9, np.uint8))
            save(raw / f'masks/{name}.png', np.full((4, 4), patient % 2, np.uint8))
    summary = prepare(r'([A-Za-z0-9]+)_\d+', folds=True)
    assert summary.splits == ('all', 'fold1', 'fold2', 'fold3') and summary.subjects == 7
    lists = {path.stem: path.read_text().split() for path in (tmp_path / 'out/data/splits').glob('fold*.txt')}
    every = sorted(name for number in (1, 2, 3) for name in lists[f'fold{number}_val'])
    assert every == sorted([*SHAPES, *(f'P{patient}_{place}' for patient in range(5) for place in range(2))])
    for number in (1, 2, 3):
        train, val = lists[f'fold{number}_train'], lists[f'fold{number}_val']
        assert sorted(train + val) == every and val
        assert not {name.partition('_')[0] for name in train} & {name.partition('_')[0] for name in val}
    prepare(r'([A-Za-z0-9]+)_\d+')  # an earlier conversion with folds is ours to replace
    assert not list((tmp_path / 'out/data/splits').glob('fold*'))


def test_too_few_patients_for_folds(prepare, tmp_path):
    with pytest.raises(InputError, match='scans of 2 patients; expected at least 3 for --folds'):
        prepare(BY_DEVICE, folds=True)
    assert not (tmp_path / 'out').exists()
