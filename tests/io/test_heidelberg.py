import struct

import numpy as np
import pytest
from e2e_files import FRAMES as RAW
from e2e_files import IMAGE, SCAN_PATTERN, e2e_bytes, image, parts_of
from heyex_files import FRAMES
from vol_files import HEADER, vol_bytes

from octfluid.io.heidelberg import read_e2e, read_series, read_vol
from octfluid.utils.errors import InputError


@pytest.fixture
def vol(tmp_path):
    def make(content):
        (tmp_path / 'v.vol').write_bytes(content)
        return tmp_path / 'v.vol'

    return make


def test_a_volume_with_its_scale_and_side(vol):
    (scan,) = read_vol(vol(vol_bytes(FRAMES, eye=b'OS')))
    assert scan.is_volume and scan.laterality == 'OS' and scan.device == 'Heidelberg Spectralis'
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == (0.00387, 0.0113, 0.123)
    for found, expected in zip(scan.frames, FRAMES, strict=True):
        np.testing.assert_allclose(found.astype(int), expected, atol=1)
    assert scan.identifiers['patient_id'] == '4711'
    assert scan.raster.horizontal is True and scan.raster.bottom_up is False  # y grows downwards


def test_empty_regions_are_black(vol):
    content = bytearray(vol_bytes(FRAMES[:1]))
    content[-4 * FRAMES[0].size :] = np.full(FRAMES[0].size, 3.4028235e38, '<f4').tobytes()
    (scan,) = read_vol(vol(bytes(content)))
    assert not scan.frames[0].any()


@pytest.mark.parametrize('pattern', [2, 5])
def test_circles_and_stars_have_areas_and_no_volume(vol, pattern):
    (scan,) = read_vol(vol(vol_bytes(FRAMES, pattern=pattern)))
    assert len(scan.frames) == 3 and not scan.is_volume and scan.spacing.slice is None and scan.spacing.axial == 0.00387
    assert 'a circle or a star' in scan.notes[0]


def test_a_single_line_has_no_distance(vol):
    (scan,) = read_vol(vol(vol_bytes(FRAMES[:1], pattern=1)))
    assert not scan.is_volume and scan.spacing.slice is None


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'not a Heidelberg .vol file, which begins with HSF-OCT-'), (b'a letter' * 400, 'not a Heidelberg .vol file'),
    (vol_bytes(FRAMES)[:HEADER - 10], 'cut short or damaged'), (vol_bytes(FRAMES)[:-100], 'cut short or damaged'),
    (vol_bytes(FRAMES[:0]), 'holds no B-scan'), (vol_bytes(FRAMES[:, :4, :4]), '4x4 pixels; expected a B-scan'),
])  # fmt: skip
def test_damage_is_one_line(vol, content, said):
    path = vol(content)
    with pytest.raises(InputError, match=said) as raised:
        list(read_vol(path)[0].frames)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)


@pytest.mark.parametrize('content', [b'', b'a letter' * 400, b'CMDb' + b'\0' * 400])
def test_a_broken_e2e_is_one_line(tmp_path, content):
    (tmp_path / 'v.e2e').write_bytes(content)
    with pytest.raises(InputError, match=r'v\.e2e: (not a Heidelberg \.e2e file|holds no OCT series)') as raised:
        read_e2e(tmp_path / 'v.e2e')
    assert '\n' not in str(raised.value)


def e2e(tmp_path, content):
    (tmp_path / 'v.e2e').write_bytes(content)
    return read_e2e(tmp_path / 'v.e2e')


def test_an_e2e_with_several_series(tmp_path):
    volume, circle = e2e(tmp_path, e2e_bytes(parts_of(RAW), parts_of(RAW[:1], 2, b'L')))
    assert volume.is_volume and len(volume.frames) == 3 and (volume.laterality, volume.series) == ('OD', '0')
    assert not circle.is_volume and len(circle.frames) == 1 and (circle.laterality, circle.series) == ('OS', '1')
    order = [np.argsort(frame.ravel().astype(float)[:50], kind='stable') for frame in volume.frames]
    assert len(np.unique(order, axis=0)) == 3 and volume.frames[1].shape == RAW[1].shape


def looped():
    content = bytearray(e2e_bytes(parts_of(RAW)))
    last = 88 + 52 + 44 * (len(parts_of(RAW)) - 1)
    struct.pack_into('<2I', content, last + 4, 88 - 60, 0)
    return bytes(content)


@pytest.mark.parametrize(('content', 'said'), [
    (looped(), 'its chunks lead in a circle'),
    (e2e_bytes([(SCAN_PATTERN, -1, struct.pack('<2I', 1 << 31, 0))]), 'says that it has 2147483648 texts'),
    (e2e_bytes([(SCAN_PATTERN, -1, struct.pack('<2I', 90, 1 << 31))]), 'says that it has 90 texts'),
    (e2e_bytes([(IMAGE, 0, struct.pack('<5I', 8, 35652097, 1 << 31, 1 << 15, 1 << 16))]), 'points to more data than it holds'),
    (e2e_bytes(parts_of(RAW)).replace(struct.pack('<3I', IMAGE, 0, len(image(RAW[0])) - 20), struct.pack('<3I', 10019, 0, 9)),
     'points to more data than it holds'),
])  # fmt: skip
def test_an_e2e_that_would_lead_its_parser_astray(tmp_path, content, said):
    with pytest.raises(InputError, match=said):
        e2e(tmp_path, content)


def test_names_with_accents_are_no_damage_and_are_not_repeated(vol):
    (scan,) = read_vol(vol(vol_bytes(FRAMES, patient='M\xfcller'.encode('latin-1'))))
    assert scan.identifiers['patient_id'] == 'M?ller' and len(scan.frames) == 3
    with pytest.raises(InputError) as raised:
        read_vol(vol(vol_bytes(FRAMES, patient=b'Miller')[:3000]))
    assert 'iller' not in str(raised.value)


class Folder:
    def __init__(self, data):
        self.data = data


class Slice:
    """As much of eyepy's slice as is used."""

    def __init__(self, frame):
        self.frame = frame

    def get_bscan(self):
        """Return reflectivity, or fail as eyepy does where there is none."""
        if self.frame is None:
            return [][0]
        return self.frame


class Series:
    """As much of eyepy's series as is used."""

    def __init__(self, slices, pattern=3, side=None):
        from eyepy.io.he.e2e_format import LateralityEnum, TypesEnum

        self.slices = slices
        self.meta = [{'scan_pattern': pattern}] * len(slices)
        self.folders = {}
        if side:
            self.folders[TypesEnum.laterality] = [Folder(type('Side', (), {'laterality': getattr(LateralityEnum, side)}))]

    def get_bscan_meta(self):
        """Return the patterns."""
        return self.meta


@pytest.mark.parametrize('side', ['OD', 'OS', None])
def test_a_series_of_an_e2e(side):
    frames = np.linspace(0, 1, 3 * 40 * 50).reshape(3, 40, 50)
    scan = read_series('v.e2e', Series({4: Slice(frames[2]), 0: Slice(frames[0]), 2: Slice(frames[1])}, side=side), '7')
    assert scan.laterality == side and scan.is_volume and scan.spacing is None and scan.series == '7'
    means = [float(frame.mean()) for frame in scan.frames]
    assert means == sorted(means) and 'width of a pixel only as an angle' in scan.notes[0]


def test_slices_without_a_picture_are_said(tmp_path):
    scan = read_series('v.e2e', Series({0: Slice(np.zeros((40, 50))), 2: Slice(None)}), '0')
    assert len(scan.frames) == 1 and '1 of 2 slices of its file hold no B-scan' in scan.notes
    assert read_series('v.e2e', Series({0: Slice(None)}), '0') is None
    assert not read_series(
        'v.e2e', Series({0: Slice(np.zeros((40, 50))), 2: Slice(np.zeros((40, 50)))}, pattern=5), '0'
    ).is_volume


@pytest.mark.parametrize('value', [-5.0, float('nan')])
def test_values_that_are_no_reflectivity_are_damage(tmp_path, recwarn, value):
    content = vol_bytes(FRAMES)
    (tmp_path / 'v.vol').write_bytes(content[:-4] + struct.pack('<f', value))
    with pytest.raises(InputError, match='a B-scan holds NaN or negative values; it is damaged'):
        list(read_vol(tmp_path / 'v.vol')[0].frames)
    assert not [one for one in recwarn if one.category is RuntimeWarning]
