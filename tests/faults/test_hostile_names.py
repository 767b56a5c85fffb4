"""What files, and what is in them, are called: it ends up in tables, on pages and in names of files."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from faults.ledger import note
from PIL import Image

from octfluid.datasets.folder_prepare import prepare_folder
from octfluid.inference import cli as predict
from octfluid.io.readers import read_scans
from octfluid.utils.cli import exit_status_of
from octfluid.utils.errors import InputError

COMMAND = 'python -m pytest tests -m faults -k test_hostile_names'
SCAN = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
FORMULA = ('=', '+', '-', '@', '\t', '\r', '\n')
NAMES = (
    '=1+1', '+1', '-1', '@SUM(1)', '\t=1', '\r=1', '\n=1', '=cmd|"calc"!A1', '<script>alert(1)</script>'.replace('/', '\\'),
    '<img src=x onerror=alert(1)>', '![x](http:evil)', '"quoted", and more', 'a\\..\\..\\x', 'x\udcff', "' OR 1=1",
)  # fmt: skip


def test_no_name_is_a_formula_in_a_table_or_leaves_the_folder(tmp_path, monkeypatch, capsys):
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    for name in NAMES:
        with open(folder / f'{name}.png', 'wb') as file:
            Image.fromarray(SCAN).save(file, 'PNG')
    monkeypatch.setattr('sys.argv', ['predict.py', str(folder), '--out', str(out)])
    assert exit_status_of(predict.main) == 0
    said = capsys.readouterr()
    with open(out / 'measurements.csv', newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    cells = [cell for row in rows for cell in row.values()]
    bad = [cell for cell in cells if cell.startswith(FORMULA)]
    note('hostile', 'names of files that are formulas, markup or paths', len(NAMES), len(rows) - len(bad), COMMAND)
    assert bad == [] and len(rows) == len(NAMES)
    assert {"'=1+1", "'-1", '\\t=1'} <= {row['input'] for row in rows}, 'what would be computed is preceded by something else'
    assert len(json.loads((out / 'measurements.json').read_text())) == len(NAMES)
    assert said.out.count('\n') == len(NAMES) + 1, 'a line for each, whatever its name holds'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['in', 'out']


def test_the_table_of_a_data_set_holds_no_formula(tmp_path):
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
        for name in ('a-1', 'b-2', 'c-3'):
            Image.fromarray((SCAN > 200).astype(np.uint8)).save(tmp_path / kind / f'{name}.png')
    prepare_folder(tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out', subject=r'[a-z](-\d)')
    with open(tmp_path / 'out/index.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['group'] for row in rows] == ["'-1", "'-2", "'-3"]
    Image.fromarray(SCAN).save(tmp_path / 'images/=1.png')
    with pytest.raises(InputError, match=r'=1\.png: expected a name of letters, digits'):
        prepare_folder(tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out2')


def test_what_files_hold_names_no_result(tmp_path):
    """Series are numbered by their readers; patients and series that are called `../x` change no path."""
    pytest.importorskip('eyepy')
    from dicom_files import write as write_dicom
    from e2e_files import FRAMES, e2e_bytes, parts_of
    from heyex_files import write_export
    from vol_files import vol_bytes

    write_dicom(tmp_path / 'a.dcm', PatientName='../../x', SeriesDescription='../../x', StudyInstanceUID='1')
    (tmp_path / 'a.vol').write_bytes(vol_bytes(SCAN[None], patient=b'../../x'))
    (tmp_path / 'a.e2e').write_bytes(e2e_bytes(parts_of(FRAMES), parts_of(FRAMES)))
    export = write_export(tmp_path)
    text = export.read_text()
    several = text.replace('</Series>', '</Series>' + text[text.index('<Series>') : text.index('</Series>') + 9])
    export.write_text(several.replace('<ID>5</ID>', '<ID>../../x</ID>'))
    labels = [scan.series for name in ('a.dcm', 'a.vol', 'a.e2e', 'export.xml') for scan in read_scans(tmp_path / name)]
    assert labels == ['', '', '0', '1', '0', '1']


@pytest.mark.parametrize('place', [
    '../secret.tif', '..\\secret.tif', '{outside}/secret.tif', 'C:\\..\\..\\secret.tif', 'file:///{outside}/secret.tif',
    '..', '.', '', 'x' * 5000, 'a\nb.tif', '&#x2e;&#x2e;/secret.tif',
])  # fmt: skip
def test_an_export_names_pictures_beside_it_alone(tmp_path, place):
    pytest.importorskip('eyepy')
    from heyex_files import write_export

    folder = tmp_path / 'export'
    folder.mkdir()
    Image.fromarray(SCAN).save(tmp_path / 'secret.tif')
    export = write_export(folder)
    export.write_text(export.read_text().replace('C:\\export\\a.tif', place.replace('{outside}', str(tmp_path))))
    with pytest.raises(InputError, match=r'export\.xml: ') as raised:
        read_scans(export)
    assert '\n' not in str(raised.value)


@pytest.mark.parametrize('entity', ['SYSTEM "file://{path}"', 'SYSTEM "{path}"', 'PUBLIC "x" "file://{path}"'])
def test_an_export_reads_no_other_file_by_an_entity(tmp_path, entity):
    pytest.importorskip('eyepy')
    (tmp_path / 'secret').write_text('patient')
    path = tmp_path / 'a.xml'
    path.write_text(f'<!DOCTYPE a [<!ENTITY x {entity.format(path=tmp_path / "secret")}>]><HEDX>&x;</HEDX>')
    with pytest.raises(InputError, match='cannot be read') as raised:
        read_scans(path)
    assert 'patient' not in str(raised.value)


def test_names_are_text_on_the_page():
    pytest.importorskip('gradio')
    markdown_it = pytest.importorskip('markdown_it')
    from octfluid.webapp.app import _plain, _status

    evil = '![x](http://evil/x.png) <img src=x onerror=alert(1)> [y](javascript:alert(1)) **z** http://evil\n# big'
    prediction = SimpleNamespace(warnings=(evil,), scans=(), is_volume=False)
    status = _status(SimpleNamespace(name=evil, prediction=prediction, warnings=(evil,)))
    shown = markdown_it.MarkdownIt('commonmark', {'html': True}).render(status)
    note('hostile', 'names of files that are markup, on the page', 2, 2 - shown.count('<img') - shown.count('<a '), COMMAND)
    assert not any(tag in shown for tag in ('<img', '<a ', '<h1', '<script'))
    assert shown.count('![x](http://evil/x.png) &lt;img src=x onerror=alert(1)&gt;') == 2, 'it is shown as it is'
    assert '<' not in _plain('<').replace('\\<', '')


def test_a_folder_of_a_volume_may_hold_names_that_are_no_text(tmp_path, monkeypatch):
    folder = tmp_path / 'v'
    folder.mkdir()
    for number in range(2):
        with open(folder / f'b{number}\udcff.png', 'wb') as file:
            Image.fromarray(SCAN).save(file, 'PNG')
    monkeypatch.setattr('sys.argv', ['predict.py', str(folder), '--volume', '--out', str(tmp_path / 'out')])
    assert exit_status_of(predict.main) == 0
    assert Path(tmp_path / 'out/v/v_mask.nii.gz').is_file()
