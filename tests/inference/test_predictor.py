import numpy as np
import pytest
from PIL import Image
from predicted import FRAMES

import octfluid
from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.readers import read_scans
from octfluid.io.scan import Raster, Scan, Spacing
from octfluid.utils.errors import InputError

SCALE, WHOLE = Spacing(0.004, 0.01, 0.25), Spacing(0.02, 0.05, 0.25)


@pytest.fixture(scope='module')
def predictor():
    return Predictor(threads=1)


@pytest.fixture(scope='module')
def volume():
    """Three B-scans with fluid: phantoms."""
    return list(FRAMES[:3])


def scan_of(frames, **fields):
    return Scan(**dict(path='v', frames=frames, is_volume=len(frames) > 1) | fields)


def test_it_gives_what_the_model_gives(predictor, volume):
    found = predictor.predict_scan(scan_of(volume, spacing=SCALE), probability=True)
    expected = predictor.model.probability(np.stack(volume))
    np.testing.assert_allclose(found.probability, expected, atol=1e-6)
    np.testing.assert_array_equal(found.masks, expected > predictor.model.info.threshold)
    assert found.masks.dtype == bool and found.masks.any()
    assert [one.fluid_px for one in found.scans] == [int(mask.sum()) for mask in found.masks]
    np.testing.assert_array_equal(found.thickness_px, found.masks.sum(axis=1))
    assert found.fluid_mm3 == pytest.approx(found.masks.sum() * 0.004 * 0.01 * 0.25)
    assert (found.spacing, found.spacing_from, found.sectors) == (SCALE, 'file', ())
    single = predictor.predict_scan(scan_of(volume[:1], spacing=SCALE))
    assert single.fluid_mm3 is None and single.scans == found.scans[:1] and single.masks.shape == (1, *volume[0].shape)


@pytest.mark.parametrize(('theirs', 'ours', 'scale', 'origin', 'said'), [
    (None, None, None, None, 'no scale: the file does not say'),
    (WHOLE, None, WHOLE, 'file', ''), (SCALE, None, SCALE, 'file', 'the scale (file) makes a B-scan 0.384 mm deep'),
    (None, SCALE, SCALE, 'given', ''),
    (SCALE, Spacing(0.004, 0.01), SCALE, 'given', ''),
    (SCALE, Spacing(0.005, 0.01), Spacing(0.005, 0.01, 0.25), 'given',
     'the given scale is used; the file says 0.004, 0.01, 0.25 mm'),
    (Spacing(0.004, 0.01), None, Spacing(0.004, 0.01), 'file', 'no volume in mm3: the distance between B-scans is not known'),
    (Spacing(4.0, 10.0, 0.25), None, Spacing(4.0, 10.0, 0.25), 'file', 'the scale (file) makes a pixel 4000 um high'),
])  # fmt: skip
def test_scale_is_never_guessed(quick, predictor, volume, theirs, ours, scale, origin, said):
    found = predictor.predict_scan(scan_of(volume, spacing=theirs), Settings(spacing=ours))
    assert (found.spacing, found.spacing_from) == (scale, origin)
    about_scale = [one for one in found.warnings if 'scale' in one or 'mm3' in one]
    assert about_scale[0].startswith(said) if said else not about_scale
    assert (found.scans[0].fluid_mm2 is None) == (scale is None)
    assert (found.fluid_mm3 is None) == (scale is None or scale.slice is None)


def test_sectors_share_the_volume_out(quick, predictor, volume):
    wide = Spacing(0.004, 0.03, 0.3)
    scan = scan_of(volume * 6, spacing=wide, laterality='OS')
    found = predictor.predict_scan(scan, Settings(macula_centred=True, bottom_up=True))
    assert len(found.sectors) == 9
    assert 0 < sum(one.fluid_mm3 for one in found.sectors) <= found.fluid_mm3 * (1 + 1e-9)
    middle = predictor.predict_scan(scan, Settings(fovea=(8.5, 63.5), bottom_up=True))
    assert middle.sectors == found.sectors
    known = scan_of(volume * 6, spacing=wide, laterality='OS', raster=Raster(0.3, True, True))
    assert predictor.predict_scan(known, Settings(macula_centred=True)).sectors == found.sectors


@pytest.mark.parametrize(('fields', 'said'), [
    ({}, 'a scale with the distance between B-scans and the side of the eye'),
    (dict(spacing=SCALE, raster=Raster(0.25, True, True)), 'need the side of the eye (--laterality)'),
    (dict(laterality='OD', spacing=Spacing(0.004, 0.01), raster=Raster(None, True, True)), 'need a scale with the distance'),
    (dict(laterality='OD', spacing=SCALE), 'which end of the eye the first B-scan is at (--first-bscan)'),
    (dict(laterality='OD', spacing=SCALE, raster=Raster(0.25, False, True)), 'need B-scans that run from side to side'),
])  # fmt: skip
def test_why_there_are_no_sectors_is_said(quick, predictor, volume, fields, said):
    found = predictor.predict_scan(scan_of(volume, **fields), Settings(macula_centred=True))
    assert found.sectors == () and any(said in one for one in found.warnings)


@pytest.mark.parametrize('fovea', [(7, 10), (-1, 10), (1, 128)])
def test_a_fovea_outside_of_the_scan_is_refused_before_the_model_runs(quick, predictor, volume, monkeypatch, fovea):
    monkeypatch.setattr(type(predictor.model), '_run', None)
    with pytest.raises(InputError, match='fovea at B-scan'):
        predictor.predict_scan(scan_of(volume, spacing=SCALE), Settings(fovea=fovea))


def test_python_from_a_path(quick, predictor, volume, tmp_path, monkeypatch):
    Image.fromarray(volume[0]).save(tmp_path / 'a.png')
    assert octfluid.Predictor is Predictor and octfluid.Spacing is Spacing
    with pytest.raises(AttributeError):
        _ = octfluid.Predicter
    found = predictor.predict(tmp_path / 'a.png', spacing=Spacing(0.004, 0.01))
    assert found.scan.path == tmp_path / 'a.png' and found.scans[0].fluid_mm2 is not None
    np.testing.assert_array_equal(found.masks, predictor.predict_scan(read_scans(tmp_path / 'a.png')[0]).masks)
    Image.fromarray(volume[1]).save(tmp_path / 'b.png')
    assert [one.scan.path.name for one in predictor.predict_all(tmp_path)] == ['a.png', 'b.png']
    assert predictor.predict(tmp_path, volume=True).masks.shape[0] == 2
    monkeypatch.setattr(predictor, 'predict_scan', None)  # it is known before anything is outlined
    with pytest.raises(InputError, match='predict_all'):
        predictor.predict(tmp_path)


def test_filling_of_another_white_does_not_change_what_is_found(predictor, volume):
    scan = volume[0].copy()
    scan[:20, :90] = 255
    masks = [predictor.predict_scan(scan_of([one])).masks[0] for one in (scan, scan * np.float32(4080 / 4095))]
    assert masks[0].any() and (masks[0] == masks[1]).all()


@pytest.mark.parametrize(('rows', 'noted'), [((0, 12), True), ((50, 60), False), ((80, 95), False), ((0, 1), False)])
def test_fluid_above_the_retina_is_a_warning(predictor, monkeypatch, rows, noted):
    scan, probability = np.full((96, 128), 9, np.uint8), np.zeros((96, 128), np.float32)
    scan[40:70], scan[:30, :20] = 150, 255
    probability[slice(*rows), 60:61] = 1  # of a single pixel nothing is said
    monkeypatch.setattr(predictor.model, 'stream', lambda scans: iter([probability] * len(scans)))
    assert ('above the retina' in ' '.join(predictor.predict_scan(scan_of([scan])).warnings)) is noted


def test_a_side_that_contradicts_the_file_is_a_warning(quick, predictor, volume):
    for theirs, ours, warned in (('OD', 'OS', True), ('OD', 'OD', False), (None, 'OS', False), ('OD', None, False)):
        found = predictor.predict_scan(scan_of(volume[:1], laterality=theirs), Settings(laterality=ours))
        assert found.laterality == (ours or theirs) and ('given side' in ' '.join(found.warnings)) is warned


@pytest.mark.parametrize('frames', [
    [np.zeros((64, 64, 3))], [np.zeros((0, 64))], [np.zeros((64, 64)), np.zeros((64, 60))],
])  # fmt: skip
def test_frames_that_are_not_pictures_of_one_size_are_refused_by_place(quick, predictor, frames):
    with pytest.raises(InputError, match=f'^v: B-scan {len(frames) - 1} has'):
        predictor.predict_scan(scan_of(frames))
