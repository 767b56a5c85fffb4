import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from octfluid.datasets.phantoms import make_phantom
from octfluid.inference.checks import check_areas, check_guard, check_int8
from octfluid.inference.model import ScanModel
from octfluid.inference.predictor import Predictor
from octfluid.io.scan import Spacing


@pytest.fixture(scope='module')
def duke(tmp_path_factory):
    """Three subjects in the layout of the Duke data, three B-scans each, two of them graded."""
    folder = tmp_path_factory.mktemp('duke')
    for subject in (1, 2, 3):
        made = [make_phantom(10 * subject + place, 96, 128, fluid=True) for place in range(3)]
        images = np.stack([scan for scan, _ in made], axis=2)
        fluid = np.stack([mask.astype(float) for _, mask in made], axis=2)
        fluid[:, :, 1] = np.nan
        savemat(folder / f'Subject_0{subject}.mat', {'images': images, 'manualFluid1': fluid})
    return sorted(folder.iterdir())


def test_what_is_warned_of_is_counted(duke, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)).save(tmp_path / 'noise.png')
    found = {group['scans']: group for group in check_guard(Predictor(threads=1), duke, {'noise': tmp_path})}
    assert {name: group['number'] for name, group in found.items() if 'Duke' in name} == {
        f'Duke DME, graded scans, {how}': 6
        for how in ('as they are', 'upside down', 'inverted', 'on their side', 'as JPEG of quality 75')
    }
    assert found['Duke DME, graded scans, upside down']['kinds'].get('upside down') == 6
    assert found['Duke DME, graded scans, inverted']['kinds'] == {'dark layers': 6}
    assert found['noise']['kinds'] == found['noise, upside down']['kinds'] == {'no layers': 1}


def test_areas_beside_those_of_the_grader(duke):
    predictor = Predictor(threads=1)
    found = check_areas(predictor, duke, Spacing(0.004, 0.01, 0.25))
    assert [(one['subject'], one['bscans'], len(one['graded'])) for one in found] == [(1, 3, 2), (2, 3, 2), (3, 3, 2)]
    for subject, one in zip((1, 2, 3), found, strict=True):
        scans, truths = zip(*(make_phantom(10 * subject + place, 96, 128, fluid=True) for place in range(3)), strict=True)
        masks = predictor.model.mask(np.stack(scans))
        assert one['fluid_mm3'] == pytest.approx(masks.sum() * 0.004 * 0.01 * 0.25)
        for row, place in zip(one['graded'], (0, 2), strict=True):
            true = truths[place] > 0
            assert row['bscan'] == place
            assert row['found_mm2'] == pytest.approx(masks[place].sum() * 0.004 * 0.01)
            assert row['graded_mm2'] == pytest.approx(true.sum() * 0.004 * 0.01)
            assert row['dice'] == pytest.approx(2 * (true & masks[place]).sum() / (true.sum() + masks[place].sum()))


def test_a_twin_of_8_bits_is_compared_scan_by_scan(duke, monkeypatch):
    plain, small = Predictor(threads=1), Predictor(threads=1)
    assert check_int8(plain, small, duke)[0]['pixels'] == 0
    monkeypatch.setattr(small, 'model', Nothing())
    (found,) = check_int8(plain, small, duke)
    scans, truths = zip(
        *(make_phantom(10 * subject + place, 96, 128, fluid=True) for subject in (1, 2, 3) for place in (0, 2)), strict=True
    )
    masks, true = ScanModel(threads=1).mask(np.stack(scans)), np.stack(truths) > 0
    assert (found['scans'], found['pixels']) == (6, masks.mean())
    assert found['dice'] == [pytest.approx(2 * (masks & true).sum() / (masks.sum() + true.sum())), 0]
    assert all(value > 0 for value in found['milliseconds']) and min(found['megabytes']) > 1


class Nothing:
    """A model that marks nothing."""

    path = ScanModel(threads=1).path

    def mask(self, scans):
        return np.zeros(scans.shape, bool)
