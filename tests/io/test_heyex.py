import numpy as np
import pytest
from heyex_files import FRAMES, image, write_export
from PIL import Image

from octfluid.io.heyex import pictures_of, read_xml
from octfluid.io.readers import find_inputs
from octfluid.utils.errors import InputError


def test_an_xml_export(tmp_path):
    (scan,) = read_xml(write_export(tmp_path))
    assert scan.is_volume and scan.laterality == 'OD'
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == (0.00387, 0.0113, 0.25)
    np.testing.assert_array_equal(list(scan.frames), FRAMES)
    assert scan.identifiers['LastName'] == 'Doe'


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
    with pytest.raises(InputError, match=r'names the picture secret\.tif, which does not lie beside it'):
        read_xml(path)


def test_entities_do_not_grow(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + ''.join(
        f'<!ENTITY b{n} "{f"&b{n - 1};" * 10 if n else "&b;" * 10}">' for n in range(9)
    )
    (tmp_path / 'x.xml').write_text(f'{bomb}]><HEDX>&b8;</HEDX>')
    with pytest.raises(InputError, match=r'x\.xml: defines entities or a document type'):
        read_xml(tmp_path / 'x.xml')


def test_capitals_and_missing_elements_are_no_damage(tmp_path):
    path = write_export(tmp_path)
    path.write_text(path.read_text().replace('<Laterality>R</Laterality>', '').replace('<ID>1</ID>', '<ID>DOE-1961</ID>'))
    path = path.rename(tmp_path / 'EXPORT.XML')
    (scan,) = read_xml(path)
    assert scan.laterality is None and len(scan.frames) == 3


@pytest.mark.parametrize('letter', ['B', 'l', ''])
def test_a_side_that_is_neither_is_none(tmp_path, letter):
    path = write_export(tmp_path)
    path.write_text(path.read_text().replace('<Laterality>R<', f'<Laterality>{letter}<'))
    assert read_xml(path)[0].laterality is None


def test_each_series_is_a_scan_of_its_own(tmp_path):
    path = write_export(tmp_path)
    second = image('OCT', 'a.tif').replace('<ScaleX>0.0113<', '<ScaleX>0.006<')
    text = path.read_text().replace('</Series>', f'</Series><Series><Laterality>L</Laterality>{second}</Series>')
    path.write_text(text)
    first, other = read_xml(path)
    assert (first.laterality, first.series, len(first.frames), first.spacing.lateral) == ('OD', '0', 3, 0.0113)
    assert (other.laterality, other.series, len(other.frames), other.spacing.lateral) == ('OS', '1', 1, 0.006)


def test_b_scans_of_a_star_are_no_volume(tmp_path):
    path = write_export(tmp_path)
    text = path.read_text()
    for place, angle in enumerate((0, 60, 120)):
        x, y = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        for tag, old, sign in (('Start', f'<X>0</X><Y>{0.25 * place}</Y>', -1), ('End', f'<X>1</X><Y>{0.25 * place}</Y>', 1)):
            text = text.replace(f'<{tag}><Coord>{old}', f'<{tag}><Coord><X>{sign * x}</X><Y>{sign * y}</Y>')
    path.write_text(text)
    (scan,) = read_xml(path)
    assert len(scan.frames) == 3 and not scan.is_volume and scan.spacing.slice is None
    assert 'do not lie side by side' in scan.notes[0]


def test_a_position_that_is_missing_makes_no_distance(tmp_path):
    path = write_export(tmp_path)
    path.write_text(path.read_text().replace('<X>0</X><Y>0.25</Y>', ''))
    (scan,) = read_xml(path)
    assert scan.spacing.slice is None and not scan.is_volume


def test_pictures_of_an_export_in_any_encoding(tmp_path):
    path = write_export(tmp_path, names=('a&b.tif', 'b.tif', 'c.tif'))
    text = path.read_text().replace('a&b.tif', 'a&amp;b.tif')
    for encoding in ('utf-8', 'utf-16'):
        path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{text}', encoding=encoding)
        assert pictures_of(path) == {'slo.tif', 'a&b.tif', 'b.tif', 'c.tif'}
        assert [one.path.name for one in find_inputs([tmp_path])] == ['export.xml']
    path.write_text(text[:300])
    assert [one.path.name for one in find_inputs([tmp_path])][-1] == 'export.xml', (
        'a broken export is read, and refused by name'
    )


def test_one_picture_of_two_b_scans_is_damage(tmp_path):
    with pytest.raises(InputError, match=r'names the picture a\.tif for several B-scans'):
        read_xml(write_export(tmp_path, names=('a.tif', 'b.tif', 'a.tif')))
