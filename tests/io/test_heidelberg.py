import struct

import numpy as np
import pytest
from e2e_files import FRAMES as RAW
from e2e_files import IMAGE, META, e2e_bytes, parts_of
from heyex_files import FRAMES, image, write_export
from PIL import Image
from vol_files import HEADER, vol_bytes

from octfluid.io.readers import read_scans
from octfluid.utils.errors import InputError


@pytest.fixture
def read(tmp_path):
    def reader(content, name='v.vol'):
        (tmp_path / name).write_bytes(content)
        return read_scans(tmp_path / name)

    return reader


def test_a_volume_with_its_scale_and_side(read):
    (scan,) = read(vol_bytes(FRAMES, eye=b'OS'))
    assert scan.is_volume and scan.laterality == 'OS' and scan.device == 'Heidelberg Spectralis'
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == (0.00387, 0.0113, 0.123)
    for found, expected in zip(scan.frames, FRAMES, strict=True):
        np.testing.assert_allclose(found.astype(int), expected, atol=1)
    assert scan.identifiers['patient_id'] == '4711'
    assert scan.raster.horizontal is True and scan.raster.bottom_up is False  # y grows downwards


@pytest.mark.parametrize(('frames', 'pattern', 'noted'), [(FRAMES, 2, True), (FRAMES, 5, True), (FRAMES[:1], 1, False)])
def test_circles_stars_and_single_lines_have_areas_and_no_volume(read, frames, pattern, noted):
    (scan,) = read(vol_bytes(frames, pattern=pattern))
    assert len(scan.frames) == len(frames) and not scan.is_volume
    assert scan.spacing.slice is None and scan.spacing.axial == 0.00387 and bool(scan.notes) == noted


@pytest.mark.parametrize('content', [
    vol_bytes(FRAMES)[: HEADER - 10], vol_bytes(FRAMES, patient=b'Miller')[:-100],
    vol_bytes(FRAMES[:0]), vol_bytes(FRAMES[:, :4, :4]), vol_bytes(FRAMES)[:-4] + struct.pack('<f', -5),
    vol_bytes(FRAMES)[:-4] + struct.pack('<f', float('nan')),
], ids=['header', 'cut', 'none', 'small', 'negative', 'nan'])  # fmt: skip
def test_damage_is_one_line(read, recwarn, content):
    with pytest.raises(InputError, match=r'v\.vol: ') as raised:
        read(content)
    assert '\n' not in str(raised.value) and 'iller' not in str(raised.value)
    assert not [one for one in recwarn if one.category is RuntimeWarning]


@pytest.mark.parametrize('longer', [8, 256, 2048, 1 << 16])
@pytest.mark.parametrize('version', [b'HSF-OCT-104', b'HSF-OCT-90'])
def test_another_layout_is_called_by_its_version(read, version, longer):
    content = vol_bytes(FRAMES, version=version)
    assert len(read(content)[0].frames) == 3  # laid out as the one that is known
    with pytest.raises(InputError, match=rf'v\.vol: .*{version.decode()}'):
        read(content[:HEADER] + bytes(longer) + content[HEADER:])


def test_names_with_accents_are_no_damage(read):
    (scan,) = read(vol_bytes(FRAMES, patient='M\xfcller'.encode('latin-1')))
    assert scan.identifiers['patient_id'] == 'M?ller' and len(scan.frames) == 3


def test_an_e2e_with_several_series(read):
    volume, circle = read(e2e_bytes(parts_of(RAW), parts_of(RAW[:1], 2, b'L')), 'v.e2e')
    assert volume.is_volume and len(volume.frames) == 3 and (volume.laterality, volume.series) == ('OD', '0')
    assert not circle.is_volume and len(circle.frames) == 1 and (circle.laterality, circle.series) == ('OS', '1')
    order = [np.argsort(frame.ravel().astype(float)[:50], kind='stable') for frame in volume.frames]
    assert len(np.unique(order, axis=0)) == 3 and volume.frames[1].shape == RAW[1].shape


@pytest.mark.parametrize(('side', 'found'), [(b'R', 'OD'), (b'L', 'OS'), (b'X', None)])
def test_an_e2e_of_one_series_has_a_side_and_no_scale(read, side, found):
    (scan,) = read(e2e_bytes(parts_of(RAW, side=side)), 'v.e2e')
    assert scan.laterality == found and scan.is_volume and scan.spacing is None and scan.series == '' and scan.notes


def test_slices_and_series_that_cannot_be_read_are_left_out_and_said(read):
    broken = [(IMAGE, place, struct.pack('<5I', 8, 35652097, 1 << 31, 1 << 15, 1 << 16)) for place in (0, 2)]
    (scan,) = read(e2e_bytes(parts_of(RAW)[:-1], broken), 'v.e2e')
    assert len(scan.frames) == 2 and '1 of 3 slices' in scan.notes[1] and '1 of the series' in scan.notes[-1]


@pytest.mark.parametrize('content', [
    b'CMDb' + b'\0' * 400, e2e_bytes([(META, 0, b'')]),
], ids=['zeros', 'no picture'])  # fmt: skip
def test_a_broken_e2e_is_one_line(read, content):
    with pytest.raises(InputError, match=r'v\.e2e: ') as raised:
        read(content, 'v.e2e')
    assert '\n' not in str(raised.value)


@pytest.fixture
def export(tmp_path):
    """Write an export with texts of its XML file replaced, and return the file's path."""

    def make(*pairs, **options):
        path = write_export(tmp_path, **options)
        text = path.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path

    return make


def test_an_xml_export(export):
    (scan,) = read_scans(export())
    assert scan.is_volume and scan.laterality == 'OD' and scan.files == ('a.tif', 'b.tif', 'c.tif')
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == (0.00387, 0.0113, 0.25)
    np.testing.assert_array_equal(list(scan.frames), FRAMES)
    assert scan.identifiers['LastName'] == 'Doe'


@pytest.mark.parametrize('text', ['', '<HEDX>', '<HEDX><BODY/></HEDX>'])
def test_other_xml_is_one_line(tmp_path, text):
    (tmp_path / 'x.xml').write_text(text)
    with pytest.raises(InputError, match=r'x\.xml: ') as raised:
        read_scans(tmp_path / 'x.xml')
    assert '\n' not in str(raised.value)


def test_a_missing_picture_and_one_elsewhere_are_refused(export, tmp_path):
    with pytest.raises(InputError, match=r'b\.tif'):
        read_scans(export(missing=('b.tif',)))
    Image.fromarray(FRAMES[0]).save(tmp_path.parent / 'secret.tif')
    with pytest.raises(InputError, match=r'secret\.tif'):
        read_scans(export(('C:\\export\\b.tif', '../secret.tif')))


@pytest.mark.parametrize('letter', ['B', 'l', ''])
def test_a_side_that_is_neither_is_not_known(export, letter):
    path = export(('<Laterality>R<', f'<Laterality>{letter}<'))
    assert read_scans(path.rename(path.with_name('EXPORT.XML')))[0].laterality is None


def test_each_series_is_a_scan_of_its_own(export):
    second = image('OCT', 'a.tif').replace('<ScaleX>0.0113<', '<ScaleX>0.006<')
    first, other = read_scans(export(('</Series>', f'</Series><Series><Laterality>L</Laterality>{second}</Series>')))
    assert (first.laterality, first.series, len(first.frames), first.spacing.lateral) == ('OD', '0', 3, 0.0113)
    assert (other.laterality, other.series, len(other.frames), other.spacing.lateral) == ('OS', '1', 1, 0.006)


def test_b_scans_of_several_scales_have_none(export):
    rest = '</ScaleX><ScaleY>0.00387</ScaleY><Start><Coord><X>0</X><Y>0.25</Y>'
    (scan,) = read_scans(export((f'0.0113{rest}', f'0.02{rest}')))
    assert scan.spacing is None and 'differ in scale' in scan.notes[0]
