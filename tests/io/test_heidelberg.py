import numpy as np
import pytest
from heyex_files import FRAMES, write_export
from PIL import Image
from vol_files import HEADER, vol_bytes

from octfluid.errors import InputError
from octfluid.io.heidelberg import read_e2e, read_vol, read_xml


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
    assert scan.identifiers['patient_id'] == '4711' and '1969' not in str(scan.path)


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


def test_an_xml_export(tmp_path):
    (scan,) = read_xml(write_export(tmp_path))
    assert scan.is_volume and scan.laterality == 'OD'
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == (0.00387, 0.0113, 0.25)
    np.testing.assert_array_equal(list(scan.frames), FRAMES)
    assert scan.identifiers['lastname'] == 'Doe'


def test_an_export_without_one_of_its_pictures(tmp_path):
    with pytest.raises(InputError, match=r'names the picture b\.tif, which does not lie beside it'):
        read_xml(write_export(tmp_path, missing=('b.tif',)))


@pytest.mark.parametrize('text', ['', '<HEDX>', '<a/>', '<HEDX><BODY/></HEDX>', 'a letter'])
def test_other_xml_is_one_line(tmp_path, text):
    (tmp_path / 'x.xml').write_text(text)
    with pytest.raises(InputError, match=r'x\.xml: (not a HEYEX|holds no B-scan)') as raised:
        read_xml(tmp_path / 'x.xml')
    assert '\n' not in str(raised.value)


def test_a_picture_somewhere_else_is_not_read(tmp_path):
    (tmp_path / 'in').mkdir()
    path = write_export(tmp_path / 'in')
    Image.fromarray(FRAMES[0]).save(tmp_path / 'secret.tif')
    path.write_text(path.read_text().replace('C:\\export\\b.tif', '../secret.tif'))
    with pytest.raises(InputError, match='expected one that lies beside it'):
        read_xml(path)
