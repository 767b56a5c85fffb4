"""The distance between B-scans, from every kind of file that holds it in its header, in positions, or in both."""

import numpy as np
import pytest
from dicom_files import VOLUME, measures
from dicom_files import write as write_dicom
from heyex_files import FRAMES, write_export
from vol_files import vol_bytes

from octfluid.inference.measure import Settings, scale_of
from octfluid.io.readers import read_folder, read_scans
from octfluid.io.scan import Spacing, raster_of

WIDTH = 49 * 0.012  # from the first to the last pixel of a B-scan, mm


def vol(folder, header, ends):
    (folder / 'v.vol').write_bytes(vol_bytes(VOLUME, scale=(0.012, header or 0, 0.004), ends=ends or [((0, 0), (0, 0))] * 3))
    return read_scans(folder / 'v.vol')[0]


def xml(folder, _, ends):
    return read_scans(write_export(folder, ends=ends))[0]


def in_space(ends):
    """Positions in space, and directions, as DICOM has them: B-scans follow each other from feet to head."""
    starts = [(x, 0, y) for (x, y), _ in ends or ()]
    return starts, [((u - x) / WIDTH, 0, (v - y) / WIDTH) for (x, y), (u, v) in ends or ()]


def frames(folder, header, ends):
    return read_scans(write_dicom(folder / 'v.dcm', **measures(header, *in_space(ends))))[0]


def series(folder, header, ends):
    given = dict(PixelSpacing=[0.004, 0.012]) | (dict(SpacingBetweenSlices=header) if header else {})
    for place, (start, along) in enumerate(zip(*in_space(ends), strict=True) if ends else [(None, None)] * 3):
        lie = dict(ImagePositionPatient=list(start), ImageOrientationPatient=[*along, 0, 1, 0]) if ends else {}
        write_dicom(folder / f'b{place}.dcm', VOLUME[:1], InstanceNumber=str(place), **given, **lie)
    return read_folder(folder)


def rows(*heights):
    return [((0.0, y), (WIDTH, y)) for y in heights]


ARM = WIDTH / 2
STAR = [((-ARM * c, -ARM * s), (ARM * c, ARM * s)) for c, s in ((1, 0), (0.5, 0.75**0.5), (-0.5, 0.75**0.5))]
READERS = [vol, xml, frames, series]


@pytest.mark.parametrize('read', READERS)
@pytest.mark.parametrize(('header', 'ends', 'distance'), [
    (0.25, rows(0, 0.25, 0.5), 0.25), (None, rows(0, 0.25, 0.5), 0.25), (0.25, None, 0.25),
    (0.12, rows(0, 0.25, 0.5), None), (0.245, rows(0, 0.25, 0.5), None), (0.251, rows(0, 0.25, 0.5), 0.25),
    (0.25, rows(0, 0, 0.25), None), (0.25, rows(0, 0.25, 0.25), None), (0.25, rows(0, 0, 0), None),
    (0.25, rows(0, 0.25, 0.75), None), (0.25, STAR, None), (0.25, [*rows(0, 0.25), ((WIDTH, 0.5), (0, 0.5))], None),
], ids=['both', 'positions', 'header', 'half', 'nearly', 'rounded', 'first twice', 'last twice', 'one place', 'gap', 'star',
        'reversed'])  # fmt: skip
def test_positions_rule_and_what_contradicts_itself_has_no_volume_and_one_line(tmp_path, read, header, ends, distance):
    if read is xml and (ends is None or (header, distance) in ((0.12, None), (0.245, None))):
        pytest.skip('an XML export has no distance in a header')
    scan = read(tmp_path, header, ends)
    spacing, _, warnings = scale_of(scan, Settings())
    assert spacing.slice == (None if distance is None else pytest.approx(distance))
    assert len([*warnings, *scan.notes]) == (distance is None)


@pytest.mark.parametrize('read', [vol, frames, series])
@pytest.mark.parametrize(('ends', 'expected'), [(rows(0, 0.25, 0.5), 0.3), (rows(0, 0.25, 0.75), None)])
def test_a_given_distance_settles_a_contradiction_and_mends_no_gap(tmp_path, read, ends, expected):
    assert scale_of(read(tmp_path, 0.12, ends), Settings(spacing=Spacing(0.004, 0.012, 0.3)))[0].slice == expected


def test_positions_count_more_than_numbers_in_names(tmp_path):
    series(tmp_path, None, rows(0, 0.25, 0.5))
    (tmp_path / 'b2.dcm').rename(tmp_path / 'b5.dcm')
    assert read_folder(tmp_path).notes == ()


@pytest.mark.parametrize('number', [3, 25, 97])
@pytest.mark.parametrize('true', [0.1234, 0.0114, 0.0059, 0.0604])
def test_three_decimals_of_an_export_give_the_distance_within_them(tmp_path, true, number):
    ends = [((0, f'{true * place:.3f}'), ('1.000', f'{true * place:.3f}')) for place in range(number)]
    (scan,) = read_scans(write_export(tmp_path, ['a.tif'] * number, ends=ends))
    assert scan.is_volume and not scan.notes
    assert scan.spacing.slice == pytest.approx(true, abs=1.001e-3 / (number - 1))
    np.testing.assert_array_equal(scan.frames[0], FRAMES[2])  # the last of this name


@pytest.mark.parametrize('angle', [20, 45, 130])
def test_rounded_b_scans_at_an_angle(angle):
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    starts = np.arange(49)[:, None] * 0.0114 * np.array([-along[1], along[0]])
    found = raster_of(np.round(starts, 3).tolist(), np.round(starts + 6 * along, 3).tolist())
    assert found.distance == pytest.approx(0.0114, abs=1.5e-3 / 48)
