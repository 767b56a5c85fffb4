"""The distance between B-scans, from every kind of file that holds it in its header, in positions, or in both."""

import pytest
from dicom_files import VOLUME, holding
from dicom_files import write as write_dicom
from heyex_files import write_export
from vol_files import vol_bytes

from octfluid.inference.measure import Settings, scale_of
from octfluid.io.readers import read_folder, read_scans
from octfluid.io.scan import Spacing

WIDTH = 49 * 0.012  # from the first to the last pixel of a B-scan, mm
ARM = WIDTH / 2


def vol(folder, header, ends):
    (folder / 'v.vol').write_bytes(vol_bytes(VOLUME, scale=(0.012, header or 0, 0.004), ends=ends or [((0, 0), (0, 0))] * 3))
    return read_scans(folder / 'v.vol')[0]


def xml(folder, header, ends):
    if header and (ends is None or header != 0.25):
        pytest.skip('an XML export has no distance in a header')
    return read_scans(write_export(folder, ends=ends or [(('', ''), ('', ''))] * 3))[0]


def planes(ends):
    """B-scans that follow each other from feet to head."""
    turns = [[(u - x) / WIDTH, 0, (v - y) / WIDTH, 0, 1, 0] for (x, y), (u, v) in ends or ()]
    starts = [[x, 0, y] for (x, y), _ in ends or ()]
    return [dict(ImagePositionPatient=start, ImageOrientationPatient=turn) for start, turn in zip(starts, turns, strict=True)]


def frames(folder, header, ends):
    sizes = holding(PixelSpacing=[0.004, 0.012], SliceThickness=0.1, SpacingBetweenSlices=header)  # a thickness is no distance
    lie = [holding(PlanePositionSequence=(one := holding(**plane)), PlaneOrientationSequence=one) for plane in planes(ends)]
    groups = dict(PerFrameFunctionalGroupsSequence=[one[0] for one in lie])
    path = write_dicom(folder / 'v.dcm', SharedFunctionalGroupsSequence=holding(PixelMeasuresSequence=sizes), **groups)
    return read_scans(path)[0]


def series(folder, header, ends):
    for place, plane in enumerate(planes(ends) or [{}] * 3):
        given = dict(PixelSpacing=[0.004, 0.012], SpacingBetweenSlices=header, InstanceNumber=str(place), **plane)
        write_dicom(folder / f'b{place}.dcm', VOLUME[:1], **given)
    return read_folder(folder)


def rows(*heights):
    return [((0.0, y), (WIDTH, y)) for y in heights]


EVEN = rows(0, 0.25, 0.5)
STAR = [((-ARM * c, -ARM * s), (ARM * c, ARM * s)) for c, s in ((1, 0), (0.5, 0.75**0.5), (-0.5, 0.75**0.5))]

CROSS = [((0.0, -0.02), (WIDTH, 0.02)), ((0.0, 0.0), (WIDTH, 0.0)), ((0.0, 0.02), (WIDTH, -0.02))]
FAN = [((0.0, 0.0), (WIDTH, 0.0)), ((0.0, 0.1), (WIDTH, 0.05)), ((0.0, 0.2), (WIDTH, 0.1))]


@pytest.mark.parametrize('read', [vol, xml, frames, series])
@pytest.mark.parametrize(('header', 'ends', 'distance'), [
    (0.25, EVEN, 0.25), (None, EVEN, 0.25), (0.25, None, 0.25), (None, None, None), (0.12, EVEN, None), (0.245, EVEN, None),
    (0.251, EVEN, 0.25), (0.25, rows(0, 0, 0.25), None), (0.25, rows(0, 0, 0), None), (0.25, rows(0, 0.25, 0.75), None),
    (0.25, STAR, None), (0.25, [*EVEN[:2], EVEN[2][::-1]], None), (None, CROSS, None), (None, FAN, None),
], ids=['both', 'positions', 'header', 'neither', 'half', 'nearly', 'rounded', 'twice', 'one place', 'gap', 'star',
        'turned', 'crossing', 'fan'])  # fmt: skip
def test_positions_rule_and_what_contradicts_itself_has_no_volume_and_one_line(tmp_path, read, header, ends, distance):
    scan = read(tmp_path, header, ends)
    spacing, _, warnings = scale_of(scan, Settings())
    assert spacing.slice == (None if distance is None else pytest.approx(distance))
    assert len([*warnings, *scan.notes]) == (distance is None)


@pytest.mark.parametrize('read', [vol, frames, series])
@pytest.mark.parametrize(('ends', 'expected'), [(EVEN, 0.3), (rows(0, 0.25, 0.75), None)])
def test_a_given_distance_settles_a_contradiction_and_mends_no_gap(tmp_path, read, ends, expected):
    assert scale_of(read(tmp_path, 0.12, ends), Settings(spacing=Spacing(0.004, 0.012, 0.3)))[0].slice == expected


def test_positions_count_more_than_numbers_in_names(tmp_path):
    series(tmp_path, None, EVEN)
    (tmp_path / 'b2.dcm').rename(tmp_path / 'b5.dcm')
    assert read_folder(tmp_path).notes == ()


@pytest.mark.parametrize('number', [3, 25, 97])
@pytest.mark.parametrize('true', [0.1234, 0.0114, 0.0059, 0.0604])
def test_three_decimals_of_an_export_give_the_distance_within_them(tmp_path, true, number):
    ends = [((0, f'{true * place:.3f}'), ('1.000', f'{true * place:.3f}')) for place in range(number)]
    (scan,) = read_scans(write_export(tmp_path, ['a.tif'] * number, ends=ends))
    assert scan.is_volume and not scan.notes
    assert scan.spacing.slice == pytest.approx(true, abs=1.001e-3 / (number - 1))
