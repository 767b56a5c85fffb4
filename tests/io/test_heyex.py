import numpy as np
import pytest
from heyex_files import FRAMES, image, write_export
from PIL import Image

from octfluid.io.heyex import pictures_of
from octfluid.io.readers import find_inputs, read_scans
from octfluid.utils.errors import InputError

BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">' + ''.join(
    f'<!ENTITY b{n} "{f"&b{n - 1};" * 10 if n else "&b;" * 10}">' for n in range(9)
) + ']><HEDX>&b8;</HEDX>'  # fmt: skip


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


@pytest.mark.parametrize('text', ['', '<HEDX>', '<HEDX><BODY/></HEDX>', BOMB])
def test_other_xml_is_one_line(tmp_path, text):
    (tmp_path / 'x.xml').write_text(text)
    with pytest.raises(InputError, match=r'x\.xml: ') as raised:
        read_scans(tmp_path / 'x.xml')
    assert '\n' not in str(raised.value)


def test_a_missing_picture_one_elsewhere_and_one_twice_are_refused(export, tmp_path):
    with pytest.raises(InputError, match=r'b\.tif'):
        read_scans(export(missing=('b.tif',)))
    Image.fromarray(FRAMES[0]).save(tmp_path.parent / 'secret.tif')
    with pytest.raises(InputError, match=r'secret\.tif'):
        read_scans(export(('C:\\export\\b.tif', '../secret.tif')))
    with pytest.raises(InputError, match=r'a\.tif for several'):
        read_scans(export(names=('a.tif', 'b.tif', 'a.tif')))


@pytest.mark.parametrize('letter', ['B', 'l', ''])
def test_a_side_that_is_neither_is_not_known(export, letter):
    path = export(('<Laterality>R<', f'<Laterality>{letter}<'))
    assert read_scans(path.rename(path.with_name('EXPORT.XML')))[0].laterality is None


def test_each_series_is_a_scan_of_its_own(export):
    second = image('OCT', 'a.tif').replace('<ScaleX>0.0113<', '<ScaleX>0.006<')
    first, other = read_scans(export(('</Series>', f'</Series><Series><Laterality>L</Laterality>{second}</Series>')))
    assert (first.laterality, first.series, len(first.frames), first.spacing.lateral) == ('OD', '0', 3, 0.0113)
    assert (other.laterality, other.series, len(other.frames), other.spacing.lateral) == ('OS', '1', 1, 0.006)


def star():
    for place, angle in enumerate(np.radians((0, 60, 120))):
        x, y = np.cos(angle), np.sin(angle)
        for tag, old, sign in (('Start', f'<X>0</X><Y>{0.25 * place}</Y>', -1), ('End', f'<X>1</X><Y>{0.25 * place}</Y>', 1)):
            # The view from above has the first positions, too.
            yield f'<{tag}><Coord>{old}', f'<{tag}><Coord><X>{sign * x}</X><Y>{sign * y}</Y>'


@pytest.mark.parametrize('pairs', [[*star()], [('<X>0</X><Y>0.25</Y>', '')]], ids=['star', 'a position is missing'])
def test_b_scans_that_do_not_lie_side_by_side_are_no_volume(export, pairs):
    (scan,) = read_scans(export(*pairs))
    assert len(scan.frames) == 3 and not scan.is_volume and scan.spacing.slice is None and scan.notes


def test_b_scans_of_several_scales_have_none(export):
    (scan,) = read_scans(export(('0.0113</ScaleX><ScaleY>0.00387</ScaleY><Angle>30</Angle><Focus>1</Focus><ImageQuality>30'
                                 '</ImageQuality><Start><Coord><X>0</X><Y>0.25</Y>', '0.02</ScaleX><ScaleY>0.00387</ScaleY>'
                                 '<Start><Coord><X>0</X><Y>0.25</Y>')))  # fmt: skip
    assert scan.spacing is None and 'differ in scale' in scan.notes[0]


def test_pictures_of_an_export_in_any_encoding(tmp_path):
    path = write_export(tmp_path, names=('a&b.tif', 'b.tif', 'c.tif'))
    text = path.read_text().replace('a&b.tif', 'a&amp;b.tif')
    for encoding in ('utf-8', 'utf-16'):
        path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{text}', encoding=encoding)
        assert pictures_of(path) == {'slo.tif', 'a&b.tif', 'b.tif', 'c.tif'}
        assert [one.path.name for one in find_inputs([tmp_path])[0]] == ['export.xml']
    path.write_text(text[:300])
    assert [one.path.name for one in find_inputs([tmp_path])[0]][-1] == 'export.xml', 'a broken export is refused by name'
