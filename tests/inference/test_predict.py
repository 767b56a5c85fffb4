import json

import nibabel
import numpy as np
import pytest
from dicom_files import write
from PIL import Image
from predicted import FRAMES, listing, table

from octfluid.inference.model import ScanModel
from octfluid.io.results import write_csv
from octfluid.utils.digest import file_sha256

SCALE = ['--spacing', '0.004,0.012,0.25']
TABLES = ['manifest.json', 'measurements.csv', 'measurements.json']


def test_a_single_scan(run, scans, tmp_path):
    masks = ScanModel(threads=1).mask(FRAMES[:1])
    status, said, errors = run(scans / 'b8.png', '--out', tmp_path / 'out', '--spacing', '0.004,0.012')
    assert status == 0 and not errors
    assert listing(tmp_path / 'out') == ['b8_mask.png', 'b8_overlay.png', *TABLES]
    mask = np.asarray(Image.open(tmp_path / 'out/b8_mask.png'))
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
    np.testing.assert_array_equal(mask == 255, masks[0])
    (row,) = table(tmp_path / 'out')
    assert (row['input'], row['file'], row['kind'], row['fluid_px']) == ('b8', 'b8.png', 'B-scan', str(masks[0].sum()))
    assert float(row['fluid_mm2']) == pytest.approx(masks[0].sum() * 0.004 * 0.012, rel=1e-5)
    assert row['fluid_mm3'] == row['laterality'] == ''
    assert said.startswith(f'b8: fluid {masks[0].sum()} px, ')
    assert np.asarray(Image.open(tmp_path / 'out/b8_overlay.png')).shape[1:] == (512, 3)


def test_a_volume(quick, run, mat, tmp_path):
    masks = FRAMES > 128
    status, said, _ = run(mat, '--out', tmp_path / 'out', *SCALE, '--save-prob')
    assert status == 0 and 'in 4 of 4 B-scans' in said
    per_scan = [f'v/v_z{z:03d}_{what}.png' for z in range(4) for what in ('mask', 'overlay', 'probability')]
    whole = ['v/v_enface.png', 'v/v_mask.nii.gz', 'v/v_probability.nii.gz']
    assert listing(tmp_path / 'out') == sorted([*per_scan, *whole, *TABLES])
    image = nibabel.load(tmp_path / 'out/v/v_mask.nii.gz')
    assert image.header.get_zooms() == pytest.approx((0.012, 0.004, 0.25)) and image.header.get_xyzt_units()[0] == 'mm'
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), masks)
    for z in range(4):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f'out/v/v_z{z:03d}_mask.png')) == 255, masks[z])
    probability = np.asarray(Image.open(tmp_path / 'out/v/v_z001_probability.png'))
    np.testing.assert_allclose(probability / 65535, FRAMES[1] / 256, atol=1e-4)
    whole = nibabel.load(tmp_path / 'out/v/v_probability.nii.gz').dataobj
    np.testing.assert_array_equal(np.asarray(whole).transpose(2, 1, 0), FRAMES / np.float32(256))
    *single, volume = table(tmp_path / 'out')
    assert [row['bscan'] for row in single] == ['0', '1', '2', '3'] and volume['kind'] == 'volume'
    assert float(volume['fluid_mm3']) == pytest.approx(masks.sum() * 0.004 * 0.012 * 0.25, rel=1e-5)


def test_a_mask_lies_as_viewers_show_the_scan_and_the_manifest_says_so(quick, run, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(FRAMES[0]).save(tmp_path / 'b.png', exif=exif)
    assert run(tmp_path / 'b.png', '--out', tmp_path / 'out')[0] == 0
    mask = np.asarray(Image.open(tmp_path / 'out/b_mask.png'))
    np.testing.assert_array_equal(mask == 255, np.rot90(FRAMES[0], -1) > 128)
    (said,) = json.loads((tmp_path / 'out/manifest.json').read_text())['inputs']
    assert any('orientation 6' in warning for warning in said['warnings'])


def test_a_folder_is_a_batch_in_natural_order_or_one_volume(quick, run, scans, tmp_path):
    (scans / 'notes.txt').write_text('x')
    _, _, errors = run(scans, '--out', tmp_path / 'batch')
    assert [row['input'] for row in table(tmp_path / 'batch')] == ['b8', 'b9', 'b10', 'b11']
    assert 'notes.txt' in errors and errors.count('no scale') == 1, 'a warning of all is printed once'
    assert run(scans, '--out', tmp_path / 'volume', '--volume', *SCALE)[0] == 0
    rows = table(tmp_path / 'volume')
    assert [row['file'] for row in rows] == ['b8.png', 'b9.png', 'b10.png', 'b11.png', '']
    assert [row['fluid_px'] for row in rows[:4]] == [row['fluid_px'] for row in table(tmp_path / 'batch')]
    assert rows[4]['kind'] == 'volume' and (tmp_path / 'volume/in/in_z003_mask.png').is_file()


def test_the_manifest_tells_what_was_done(quick, run, mat, tmp_path):
    run(mat, '--out', tmp_path / 'out', '--threshold', '0.4')
    manifest = json.loads((tmp_path / 'out/manifest.json').read_text())
    assert manifest['schema'] == 'octfluid.prediction/1' and manifest['settings']['threshold'] == 0.4
    (one,) = manifest['inputs']
    assert (one['status'], one['sha256'], one['file']) == ('done', file_sha256(mat), 'v.mat')
    assert one['warnings'] and sorted(one['outputs']) == [name for name in listing(tmp_path / 'out') if name.startswith('v/')]
    assert manifest['model']['sha256'] == file_sha256(ScanModel().path)
    assert str(tmp_path) not in (tmp_path / 'out/manifest.json').read_text()


def test_sectors(quick, run, mat, tmp_path):
    run(mat, '--out', tmp_path / 'out', *SCALE, '--macula-centred', '--laterality', 'OD', '--first-bscan', 'bottom')
    rows = [row for row in table(tmp_path / 'out') if row['kind'] == 'sector']
    assert [row['sector'] for row in rows] == ['C', 'S1', 'N1', 'I1', 'T1', 'S2', 'N2', 'I2', 'T2']
    (content,) = json.loads((tmp_path / 'out/measurements.json').read_text())
    assert [one['fluid_mm3'] for one in content['sectors']] == pytest.approx([float(row['fluid_mm3']) for row in rows])


@pytest.mark.parametrize(('arguments', 'there'), [([], False), (['--keep-identifiers'], True)])
def test_persons_are_named_only_on_demand(quick, run, tmp_path, arguments, there):
    write(tmp_path / 'v.dcm', FRAMES, PatientBirthDate='19610203')
    status, said, errors = run(tmp_path / 'v.dcm', '--out', tmp_path / 'out', *SCALE, *arguments)
    texts = said + errors + ''.join(path.read_text() for path in (tmp_path / 'out').iterdir() if path.is_file())
    assert status == 0 and any(word in texts for word in ('Doe', '4711', '19610203', '20260102')) is there


def test_names_are_not_formulas(tmp_path):
    write_csv(tmp_path / 't.csv', ['a', 'b'], [dict(a='=1+1', b=-1), dict(a='x\ny')])
    assert (tmp_path / 't.csv').read_text() == "a,b\n'=1+1,-1\nx\\ny,\n"


@pytest.mark.parametrize(('unit', 'factor'), [('mm', 1), ('micron', 1000), ('meter', 0.001), ('unknown', 1)])
def test_a_nifti_mask_lies_where_its_scan_lies(quick, run, tmp_path, unit, factor):
    affine = np.array([[-0.012, 0, 0, 5], [0, -0.004, 0, 7], [0, 0, 0.25, 9], [0, 0, 0, 1]])
    affine[:3] *= factor
    image = nibabel.Nifti1Image(FRAMES.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(tmp_path / 'v.nii.gz')
    assert run(tmp_path / 'v.nii.gz', '--out', tmp_path / 'out')[0] == 0
    mask = nibabel.load(tmp_path / 'out/v/v_mask.nii.gz')
    np.testing.assert_allclose(mask.affine, affine, rtol=1e-6)
    assert mask.header.get_xyzt_units()[0] == unit and mask.header.get_zooms() == pytest.approx(image.header.get_zooms())


@pytest.mark.parametrize(('arguments', 'said'), [
    (['none.png', '--out', 'o'], 'none.png'),
    (['b8.png', '--out', 'o', '--spacing', '1'], '--spacing'),
    (['b8.png', '--out', 'o', '--spacing', '0,1'], 'spacing 0'),
    (['b8.png', '--out', 'o', '--fovea', '3,4', '--macula-centred'], '--macula-centred'),
    (['b8.png', '--out', 'o', '--threshold', '2'], 'threshold 2'),
    (['b8.png', '--out', 'o', '--model', 'none.onnx'], 'none.onnx'),
    (['b8.png', '--out', 'b9.png'], '--out b9.png'),
    (['.', '--out', '.'], '--out'),
    (['b8.png'], '--out'),
    (['/dev/null', '--out', 'o'], '/dev/null'),
])  # fmt: skip
def test_bad_arguments_are_one_line_and_leave_nothing(run, scans, monkeypatch, arguments, said):
    monkeypatch.chdir(scans)
    before = listing(scans)
    status, out, errors = run(*arguments)
    assert (status, out) == (2, '') and errors.count('\n') == 1 and said in errors
    assert listing(scans) == before
