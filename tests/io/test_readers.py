import os
import shutil
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from dicom_files import write as write_dicom
from heyex_files import write_export
from PIL import Image
from vol_files import vol_bytes

from octfluid.io.readers import find_inputs, read_folder, read_scans
from octfluid.io.scan import Spacing
from octfluid.utils.errors import InputError

VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        Image.fromarray(VOLUME[place % 3]).save(folder / name)
    return folder


def names(paths, **options):
    """The names of the inputs that are found."""
    return [one.name for one in find_inputs(paths, **options)[0]]


def left_out(path, **options):
    """The names of the files that are no inputs."""
    return [one.name for one in find_inputs([path], **options)[1]]


def test_the_name_decides_the_reader_and_dicom_is_known_by_its_content(tmp_path):
    (tmp_path / 'v.VOL').write_bytes(vol_bytes(VOLUME))
    assert len(read_scans(tmp_path / 'v.VOL')[0].frames) == 3
    (tmp_path / 'v.VOL').unlink()
    write_dicom(tmp_path / 'IM0001')
    assert len(read_scans(tmp_path / 'IM0001')[0].frames) == 3
    (tmp_path / 'IM0002').write_bytes(b'a letter')
    assert names([tmp_path]) == ['IM0001'] and left_out(tmp_path) == ['IM0002']
    with pytest.raises(InputError, match=r'IM0002: .* \.png'):
        read_scans(tmp_path / 'IM0002')


def test_folders_are_read_as_people_count_and_those_below_on_demand(tmp_path):
    put(tmp_path / 'in', 'a10.png', 'a2.png', '.hidden.png')
    put(tmp_path / 'in/one', 'a.png')
    (tmp_path / 'in/loop').symlink_to(tmp_path / 'in')
    assert names([tmp_path / 'in']) == ['a2', 'a10']
    assert names([tmp_path / 'in'], recursive=True) == ['a2', 'a10', 'one/a']


def test_names_are_unique(tmp_path):
    put(tmp_path / 'x', 'a.png', 'a.tif', 'A.bmp')
    put(tmp_path / 'y', 'a.png')
    assert sorted(names([tmp_path / 'x', tmp_path / 'y/a.png'])) == ['A_bmp', 'a_png', 'a_png_2', 'a_tif']


@pytest.mark.parametrize(('typed', 'stored'), [('NFC', 'NFD'), ('NFD', 'NFC')])
def test_umlauts_are_found_however_they_are_spelled(tmp_path, typed, stored):
    folder = put(tmp_path / normalize(stored, 'Jörg Müller'), normalize(stored, 'Größe.png'))
    asked = tmp_path / normalize(typed, 'Jörg Müller')
    for volume in (False, True):
        ((one,), _) = find_inputs([asked], volume=volume)
        np.testing.assert_array_equal(one.read()[0].frames[0], VOLUME[0])
    assert names([asked / normalize(typed, 'Größe.png')]) == [normalize('NFC', 'Größe')]
    put(tmp_path / 'x', normalize(typed, 'Größe.png'))
    assert len({normalize('NFC', name) for name in names([folder, tmp_path / 'x'])}) == 2  # on macOS they would be one file
    export = put(tmp_path / 'export')
    names_of = [normalize(stored, f'Größe {letter}.tif') for letter in 'abc']
    path = write_export(export, names_of)
    path.write_text(normalize(typed, path.read_text()))
    assert len(read_scans(path)[0].frames) == 3 and names([export]) == ['export']


def test_what_is_named_twice_is_read_once(tmp_path, monkeypatch):
    put(tmp_path / 'x', 'a.png', 'b.png')
    monkeypatch.chdir(tmp_path)
    paths = [Path('x/a.png'), Path('x'), tmp_path / 'x/../x/b.png', tmp_path / 'x']
    assert names(paths) == ['a', 'b']
    assert names([tmp_path / 'x', Path('x')], volume=True) == ['x']


@pytest.mark.parametrize('name', ['manifest.json', 'manifest.partial.json'])
def test_results_of_an_earlier_call_are_no_scans(tmp_path, name):
    put(tmp_path / 'all/scans', 'a.png')
    put(tmp_path / 'all/out', 'a_mask.png')
    (tmp_path / f'all/out/{name}').write_text('{"schema": "octfluid.prediction/1"}')
    (tmp_path / f'all/scans/{name}').write_text('{"schema": "of something else"}')
    assert names([tmp_path / 'all'], recursive=True) == ['scans/a']
    assert left_out(tmp_path / 'all', recursive=True) == [name]
    with pytest.raises(InputError, match='manifest.json'):
        find_inputs([tmp_path / 'all/out'])


def test_pictures_of_an_export_are_read_with_it_and_other_xml_is_left_alone(tmp_path):
    write_export(tmp_path)
    put(tmp_path, 'other.png')
    (tmp_path / 'settings.xml').write_text('<settings/>')
    assert names([tmp_path]) == ['export', 'other']


def test_a_folder_as_a_volume(tmp_path):
    put(tmp_path / 'v', 'b1.png', 'b2.png', 'b10.png')
    ((one,), _) = find_inputs([tmp_path / 'v'], volume=True)
    assert one.name == 'v'
    (scan,) = one.read()
    assert scan.is_volume
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    put(tmp_path / 'all/v1', 'b1.png')
    put(tmp_path / 'all/v2', 'b1.png')
    assert names([tmp_path / 'all'], volume=True, recursive=True) == ['all/v1', 'all/v2']


def test_b_scans_of_different_sizes_are_no_volume(tmp_path):
    put(tmp_path / 'v', 'b1.png')
    Image.fromarray(VOLUME[0][:36]).save(tmp_path / 'v/b2.png')
    with pytest.raises(InputError, match=r'b2\.png: 36x50 pixels, .* 40x50 of b1\.png'):
        read_folder(tmp_path / 'v')


@pytest.mark.parametrize(('path', 'said'), [
    ('none.png', 'none.png: no such file'), ('empty', 'empty: .* --recursive'), ('x' * 300 + '.png', 'no such file'),
])  # fmt: skip
def test_nothing_to_read_is_one_line(tmp_path, path, said):
    put(tmp_path / 'empty/below', 'a.png')
    with pytest.raises(InputError, match=said):
        find_inputs([tmp_path / path])


def test_no_name_means_a_folder(tmp_path, monkeypatch):
    put(tmp_path / 'v/w', 'b1.png')
    shutil.copy(tmp_path / 'v/w/b1.png', tmp_path / 'v/w/...png')
    monkeypatch.chdir(tmp_path / 'v/w')
    assert names([Path('.')], volume=True) == ['w']
    assert names([Path('...png')]) == ['scan']


def test_files_of_a_volume_that_differ_in_scale_or_side_have_none(tmp_path):
    for place, side in enumerate('RL'):
        write_dicom(tmp_path / f'{place}.dcm', VOLUME[:1], PixelSpacing=[0.004, 0.01 + place], ImageLaterality=side)
    scan = read_folder(tmp_path)
    assert scan.spacing is None and scan.laterality is None
    assert scan.notes == ('its files differ in scale: none is used', 'its files differ in side: none is used')


def test_dicom_files_of_a_series_are_in_the_order_of_their_numbers(tmp_path):
    for name, number in (('a', 3), ('b', 1), ('c', 2)):
        given = dict(InstanceNumber=str(number), PixelSpacing=[0.004, 0.012], ImageLaterality='R')
        write_dicom(tmp_path / name, VOLUME[number - 1 : number], **given)
    scan = read_folder(tmp_path)
    assert scan.spacing == Spacing(0.004, 0.012) and scan.laterality == 'OD'
    np.testing.assert_array_equal(list(scan.frames), VOLUME)
    assert scan.files == ('b', 'c', 'a')


def test_a_pipe_and_a_link_that_leads_nowhere_are_left_out_and_told(tmp_path):
    os.mkfifo(put(tmp_path, 'b1.png') / 'b2.png')
    (tmp_path / 'b3.png').symlink_to(tmp_path / 'gone.png')
    assert names([tmp_path]) == ['b1'] and len(read_folder(tmp_path).frames) == 1
    for volume in (False, True):
        assert left_out(tmp_path, volume=volume) == ['b2.png', 'b3.png']


def test_a_gap_in_the_numbers_is_said(tmp_path):
    put(tmp_path, 'b1.png', 'b2.png', 'b3.png', 'b5.png')
    assert any('b5.png' in note for note in read_folder(tmp_path).notes)
    (tmp_path / 'b5.png').rename(tmp_path / 'b4.png')
    assert read_folder(tmp_path).notes == ()
