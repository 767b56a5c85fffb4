import json
import pickle

import numpy as np
import pytest
from PIL import Image

import octfluid
from octfluid.inference.predictor import Predictor, Settings
from octfluid.io.readers import read_scans
from octfluid.io.scan import Frames, Raster, Scan, Spacing
from octfluid.io.scan import Spacing as _Spacing
from octfluid.utils.errors import InputError

SCALE = Spacing(0.004, 0.01, 0.25)


@pytest.fixture(scope='module')
def predictor():
    return Predictor(threads=1)


@pytest.fixture(scope='module')
def volume():
    """Three B-scans with fluid: phantoms."""
    from octfluid.datasets.phantoms import make_phantom

    return [make_phantom(seed, 160, 224, fluid=True)[0] for seed in range(3)]


def scan_of(frames, **fields):
    return Scan(**dict(path='v', frames=Frames(len(frames), frames.__getitem__), is_volume=len(frames) > 1) | fields)


def test_it_gives_what_the_model_gives(predictor, volume):
    found = predictor.predict_scan(scan_of(volume, spacing=SCALE), keep_probability=True)
    expected = predictor.model.probability(np.stack(volume))
    np.testing.assert_allclose(found.probability, expected, atol=1e-6)
    np.testing.assert_array_equal(found.masks, expected > predictor.model.info.threshold)
    assert found.masks.dtype == bool and found.masks.any()
    assert [one.fluid_px for one in found.scans] == [int(mask.sum()) for mask in found.masks]
    np.testing.assert_array_equal(found.thickness_px, found.masks.sum(axis=1))
    assert found.fluid_mm3 == pytest.approx(found.masks.sum() * 0.004 * 0.01 * 0.25)
    assert (found.spacing, found.spacing_from, found.sectors) == (SCALE, 'file', ())


def test_frames_are_handed_on_in_order_with_what_was_found(predictor, volume):
    seen = []
    found = predictor.predict_scan(scan_of(volume * 3), on_frame=lambda *frame: seen.append(frame))
    assert [place for place, *_ in seen] == list(range(9))
    for place, gray, probability, mask in seen:
        np.testing.assert_array_equal(gray, volume[place % 3])
        np.testing.assert_array_equal(mask, found.masks[place])
        np.testing.assert_array_equal(probability > 0.5, mask)
    assert found.probability is None


def test_a_single_scan_has_no_volume(predictor, volume):
    found = predictor.predict_scan(scan_of(volume[:1], spacing=SCALE))
    assert found.fluid_mm3 is None and found.masks.shape == (1, *volume[0].shape) and found.scans[0].fluid_mm2 is not None


@pytest.mark.parametrize(('theirs', 'ours', 'scale', 'origin', 'said'), [
    (None, None, None, None, 'no scale: the file does not say'),
    (SCALE, None, SCALE, 'file', ''),
    (None, SCALE, SCALE, 'given', ''),
    (SCALE, Spacing(0.004, 0.01), SCALE, 'given', ''),
    (SCALE, Spacing(0.005, 0.01), Spacing(0.005, 0.01, 0.25), 'given',
     'the given scale is used; the file says 0.004, 0.01, 0.25 mm'),
    (Spacing(0.004, 0.01), None, Spacing(0.004, 0.01), 'file', 'no volume in mm3: the distance between B-scans is not known'),
    (Spacing(4.0, 10.0, 0.25), None, Spacing(4.0, 10.0, 0.25), 'file', 'the scale (file) makes a pixel 4000 um high'),
])  # fmt: skip
def test_scale_is_never_guessed(predictor, volume, theirs, ours, scale, origin, said):
    found = predictor.predict_scan(scan_of(volume, spacing=theirs), Settings(spacing=ours))
    assert (found.spacing, found.spacing_from) == (scale, origin)
    about_scale = [one for one in found.warnings if 'scale' in one or 'mm3' in one]
    assert about_scale[0].startswith(said) if said else not about_scale
    assert (found.scans[0].fluid_mm2 is None) == (scale is None)
    assert (found.fluid_mm3 is None) == (scale is None or scale.slice is None)


def test_a_higher_threshold_finds_no_more(predictor, volume):
    low, high = (predictor.predict_scan(scan_of(volume), Settings(threshold=value)).masks for value in (0.2, 0.9))
    assert (low | high == low).all() and low.sum() > high.sum()


def test_sectors_share_the_volume_out(predictor, volume):
    wide = Spacing(0.004, 0.02, 0.3)
    scan = scan_of(volume * 6, spacing=wide, laterality='OS')
    found = predictor.predict_scan(scan, Settings(macula_centred=True, bottom_up=True))
    assert len(found.sectors) == 9
    assert 0 < sum(one.fluid_mm3 for one in found.sectors) <= found.fluid_mm3 * (1 + 1e-9)
    middle = predictor.predict_scan(scan, Settings(fovea=(8.5, 111.5), bottom_up=True))
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
def test_why_there_are_no_sectors_is_said(predictor, volume, fields, said):
    found = predictor.predict_scan(scan_of(volume, **fields), Settings(macula_centred=True))
    assert found.sectors == () and any(said in one for one in found.warnings)


@pytest.mark.parametrize(('settings', 'said'), [
    (dict(threshold=1.5), 'threshold 1.5'),
    (dict(threshold='0.5'), "threshold '0.5': expected a number between 0 and 1"),
    (dict(fovea=(7, 10)), 'fovea at B-scan 7, column 10: expected one within the 3'),
    (dict(fovea=(7,)), 'expected .B-scan, column., two numbers'),
    (dict(fovea='ab'), 'expected .B-scan, column., two numbers'),
    (dict(fovea=(1, 2), macula_centred=True), 'expected one of the two'),
    (dict(bottom_up='top'), "bottom_up 'top': expected one of True, False, None"),
    (dict(macula_centred='no'), "macula_centred 'no': expected one of True, False"),
])  # fmt: skip
def test_settings_that_make_no_sense(predictor, volume, settings, said):
    with pytest.raises(InputError, match=said):
        predictor.predict_scan(scan_of(volume, spacing=SCALE, laterality='OD'), Settings(**settings))


def test_pages_of_different_sizes_are_refused(predictor, volume):
    with pytest.raises(InputError, match='B-scan 1 has 160x200 pixels, unlike the 160x224 of the first'):
        predictor.predict_scan(scan_of([volume[0], volume[1][:, :200]]))


def test_python_from_a_path(predictor, volume, tmp_path):
    Image.fromarray(volume[0]).save(tmp_path / 'a.png')
    assert octfluid.Predictor is Predictor and octfluid.Spacing is _Spacing
    found = predictor.predict(tmp_path / 'a.png', spacing=Spacing(0.004, 0.01))
    assert found.path == tmp_path / 'a.png' and found.scans[0].fluid_mm2 is not None
    direct = predictor.predict_scan(read_scans(tmp_path / 'a.png')[0])
    np.testing.assert_array_equal(found.masks, direct.masks)
    Image.fromarray(volume[1]).save(tmp_path / 'b.png')
    with pytest.raises(InputError, match='holds several scans; use predict_all'):
        predictor.predict(tmp_path)
    assert [one.path.name for one in predictor.predict_all(tmp_path)] == ['a.png', 'b.png']
    assert predictor.predict(tmp_path, volume=True).masks.shape[0] == 2


def test_an_attribute_that_is_none():
    with pytest.raises(AttributeError, match="no attribute 'Predicter'"):
        _ = octfluid.Predicter


def test_dark_pages_of_many_bits_are_no_fractions(predictor, tmp_path):
    pages = [Image.fromarray(np.full((96, 128), level, np.uint16)) for level in (10, 60000)]
    pages[0].save(tmp_path / 'v.tif', save_all=True, append_images=pages[1:])
    assert len(predictor.predict(tmp_path / 'v.tif').masks) == 2


def test_masks_need_not_be_kept(predictor, volume):
    kept, not_kept = (predictor.predict_scan(scan_of(volume), keep_masks=keep) for keep in (True, False))
    assert not_kept.masks.shape == (0, *volume[0].shape) and not_kept.scans == kept.scans
    np.testing.assert_array_equal(not_kept.thickness_px, kept.thickness_px)


def test_filling_of_another_white_does_not_change_what_is_found(predictor, volume):
    scan = volume[0].copy()
    scan[:20, :90] = 255
    dim = scan.astype(np.float32) * (4080 / 4095)  # eight bits in the upper part of twelve
    masks = [predictor.predict_scan(scan_of([one])).masks[0] for one in (scan, dim)]
    assert masks[0].any() and (masks[0] != masks[1]).mean() < 0.002


@pytest.mark.parametrize('settings', [
    dict(laterality='R'), dict(laterality='od'), dict(spacing=(0.004, 0.01)),
])  # fmt: skip
def test_settings_of_no_kind_are_refused(predictor, volume, settings, tmp_path):
    Image.fromarray(volume[0]).save(tmp_path / 'a.png')
    with pytest.raises(InputError, match='expected'):
        predictor.predict(tmp_path / 'a.png', **settings)


@pytest.mark.parametrize('lengths', [(-0.004, 0.01), (0.004, float('nan')), (0.004, 0.01, 0.0), ('4', 0.01)])
def test_a_scale_is_of_lengths(lengths):
    with pytest.raises(InputError, match='expected mm, from 1e-06 to 1000'):
        Spacing(*lengths)


def test_a_side_that_contradicts_the_file_is_said(predictor, volume):
    said = predictor.predict_scan(scan_of(volume[:1], laterality='OD'), Settings(laterality='OS'))
    assert said.laterality == 'OS' and 'the given side, OS, is used; the file says OD' in said.warnings
    for theirs, ours in (('OD', 'OD'), (None, 'OS'), ('OD', None)):
        found = predictor.predict_scan(scan_of(volume[:1], laterality=theirs), Settings(laterality=ours))
        assert 'side' not in ' '.join(found.warnings)


def test_lengths_of_numpy_are_lengths():
    scale = Spacing(np.float32(0.5), np.float64(0.25), np.int64(1))
    assert json.loads(json.dumps(vars(scale))) == dict(axial=0.5, lateral=0.25, slice=1.0)
    with pytest.raises(InputError, match='axial spacing True: expected mm'):
        Spacing(True, 0.01)


def test_of_a_folder_nothing_is_outlined_in_vain(predictor, volume, tmp_path, monkeypatch):
    for place in range(3):
        Image.fromarray(volume[0]).save(tmp_path / f'b{place}.png')
    monkeypatch.setattr(predictor, 'predict_scan', None)
    with pytest.raises(InputError, match='holds several scans'):
        predictor.predict(tmp_path)


@pytest.mark.parametrize('path', [np.zeros((64, 64), np.uint8), None, '', b'a.png'])
def test_what_is_no_path_is_said(predictor, path):
    with pytest.raises(InputError, match=r'expected the path of a scan; for an array use Predictor\.model\.mask'):
        predictor.predict(path)


@pytest.mark.parametrize('frame', [np.zeros((64, 64, 3)), np.zeros(64), np.zeros((0, 64)), None, 'scan'])
def test_frames_that_are_no_pictures_are_said(predictor, frame):
    with pytest.raises(InputError, match=r'B-scan 0 has shape .*; expected \(height, width\)'):
        predictor.predict_scan(scan_of([frame]))


def test_lists_are_frames_too(predictor, volume):
    as_lists, as_arrays = (predictor.predict_scan(scan_of([one])).scans for one in (volume[0].tolist(), volume[0]))
    assert as_lists == as_arrays


def test_a_predictor_goes_to_other_processes(predictor, volume):
    copy = pickle.loads(pickle.dumps(predictor))
    assert copy.predict_scan(scan_of(volume)).scans == predictor.predict_scan(scan_of(volume)).scans


@pytest.mark.parametrize('threads', [-1, 10**6, 1.5, '2', None])
def test_threads_that_are_no_number_of_threads(threads):
    with pytest.raises(InputError, match='expected a whole number from 0, one a core, to 1024'):
        Predictor(threads=threads)
