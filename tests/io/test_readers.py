from pathlib import Path

import numpy as np
import pytest
from dicom_files import write as write_dicom
from heyex_files import write_export
from PIL import Image
from scipy.io import savemat
from vol_files import vol_bytes

from octfluid.errors import InputError
from octfluid.io.readers import find_inputs, read_folder, read_scans
from octfluid.io.scan import Spacing, even_distance, spacing_from

VOLUME = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


def put(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(names):
        Image.fromarray(VOLUME[place % 3]).save(folder / name)
    return folder


def names(inputs):
    return [one.name for one in inputs]


def test_the_name_decides_the_reader(tmp_path):
    (tmp_path / 'v.VOL').write_bytes(vol_bytes(VOLUME))
    savemat(tmp_path / 'any name.mat', {'images': VOLUME.transpose(1, 2, 0)})
    assert len(read_scans(tmp_path / 'v.VOL')[0].frames) == 3
    np.testing.assert_array_equal(list(read_scans(tmp_path / 'any name.mat')[0].frames), VOLUME)


def test_dicom_without_a_suffix_is_known_by_its_content(tmp_path):
    write_dicom(tmp_path / 'IM0001')
    assert len(read_scans(tmp_path / 'IM0001')[0].frames) == 3
    (tmp_path / 'IM0002').write_bytes(b'a letter')
    with pytest.raises(InputError, match=r'IM0002: of a kind that is not read; expected one of \.png'):
        read_scans(tmp_path / 'IM0002')


def test_folders_are_read_as_people_count(tmp_path):
    put(tmp_path / 'in', 'b10.png', 'b2.png', 'b1.png', '.hidden.png')
    (tmp_path / 'in/notes.txt').write_text('not a scan')
    assert names(find_inputs([tmp_path / 'in'])) == ['b1', 'b2', 'b10']


def test_folders_below_are_taken_on_demand_and_kept_in_names(tmp_path):
    put(tmp_path / 'in', 'a.png')
    put(tmp_path / 'in/one', 'a.png')
    (tmp_path / 'in/loop').symlink_to(tmp_path / 'in')
    assert names(find_inputs([tmp_path / 'in'])) == ['a']
    assert names(find_inputs([tmp_path / 'in'], recursive=True)) == ['a', 'one/a']


def test_names_are_unique(tmp_path):
    put(tmp_path / 'x', 'a.png', 'a.tif', 'A.bmp')
    put(tmp_path / 'y', 'a.png')
    found = find_inputs([tmp_path / 'x', tmp_path / 'y/a.png'])
    assert sorted(names(found)) == ['A_bmp', 'a_png', 'a_png_2', 'a_tif']


def test_pictures_of_an_export_are_read_with_it_and_other_xml_is_left_alone(tmp_path):
    write_export(tmp_path)
    put(tmp_path, 'other.png')
    (tmp_path / 'settings.xml').write_text('<settings/>')
    assert names(find_inputs([tmp_path])) == ['export', 'other']


def test_a_folder_as_a_volume(tmp_path):
    put(tmp_path / 'v', 'b1.png', 'b2.png', 'b10.png')
    (one,) = find_inputs([tmp_path / 'v'], volume=True)
    assert one.name == 'v'
    (scan,) = one.read()
    assert scan.is_volume
    np.testing.assert_array_equal(list(scan.frames), VOLUME)


def test_folders_of_volumes(tmp_path):
    put(tmp_path / 'all/v1', 'b1.png')
    put(tmp_path / 'all/v2', 'b1.png')
    assert names(find_inputs([tmp_path / 'all'], volume=True, recursive=True)) == ['all/v1', 'all/v2']


def test_a_dicom_series_as_a_volume_keeps_scale_and_side(tmp_path):
    for place in range(2):
        write_dicom(tmp_path / f'{place}.dcm', VOLUME[place : place + 1], PixelSpacing=[0.004, 0.012], ImageLaterality='R')
    scan = read_folder(tmp_path)
    assert scan.spacing == Spacing(0.004, 0.012) and scan.laterality == 'OD'


def test_b_scans_of_different_sizes_are_no_volume(tmp_path):
    put(tmp_path / 'v', 'b1.png')
    Image.fromarray(VOLUME[0][:36]).save(tmp_path / 'v/b2.png')
    with pytest.raises(InputError, match=r'b2\.png: 36x50 pixels, unlike the 40x50 of b1\.png; .* leave out --volume'):
        read_folder(tmp_path / 'v')


@pytest.mark.parametrize(('path', 'said'), [
    ('none.png', 'no such file or folder'), ('empty', 'nothing to read in this folder; .* --recursive looks into'),
])  # fmt: skip
def test_nothing_to_read_is_one_line(tmp_path, path, said):
    put(tmp_path / 'empty/below', 'a.png')
    with pytest.raises(InputError, match=said):
        find_inputs([tmp_path / path])


@pytest.mark.parametrize(('lengths', 'expected'), [
    ((0.004, 0.01, 0.2), Spacing(0.004, 0.01, 0.2)), ((0.004, 0.01), Spacing(0.004, 0.01)),
    ((0.004, 0.01, 0.0), Spacing(0.004, 0.01)),
    ((None, 0.01), None), ((0.004, float('nan')), None), ((-1.0, 0.01), None),
    ((0.004, 0.01, float('inf')), Spacing(0.004, 0.01)),
])  # fmt: skip
def test_lengths_that_are_none_are_no_scale(lengths, expected):
    assert spacing_from(*lengths) == expected


@pytest.mark.parametrize(('positions', 'expected'), [
    ([(0, 0), (0, 1), (0, 2)], 1.0), ([(0, 0), (0, 1), (0, 3)], None), ([(0, 0)], None), ([(1, 1), (1, 1)], None),
    ([(0, 0, 0), (3, 4, 0)], 5.0),
])  # fmt: skip
def test_even_distance(positions, expected):
    assert even_distance([np.array(position) for position in positions]) == expected


@pytest.mark.parametrize(('spacing', 'width', 'found'), [
    (Spacing(0.00387, 0.01133, 0.123), 768, []), (Spacing(0.03, 0.01), 768, ['a pixel 30 um high']),
    (Spacing(3.87, 11.33), 768, ['a pixel 3870 um high', 'a B-scan 8701.44 mm wide']),
    (Spacing(0.004, 0.001), 512, ['a B-scan 0.512 mm wide']), (Spacing(0.004, 0.01, 123), 512, ['B-scans 123 mm apart']),
])  # fmt: skip
def test_absurd_scales(spacing, width, found):
    doubts = spacing.doubts(width)
    assert len(doubts) == len(found) and all(doubt.startswith(start) for doubt, start in zip(doubts, found, strict=True))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    put(tmp_path, 'a.png')

    def refuse(*_, **__):
        raise PermissionError(13, 'no')

    monkeypatch.setattr('octfluid.io.images.Image.open', refuse)
    with pytest.raises(InputError, match=r'a\.png: (no permission|cannot be read)'):
        read_scans(Path(tmp_path / 'a.png'))
