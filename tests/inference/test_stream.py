import subprocess
import sys

import numpy as np
import pytest

from octfluid.inference.growth import measure_growth, volume
from octfluid.inference.model import ScanModel
from octfluid.utils.errors import InputError


@pytest.fixture(scope='module')
def model():
    return ScanModel(threads=1)


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(5, 200, size, dtype=np.uint8)


def test_a_stream_gives_what_a_volume_gives(model):
    scans = noise(6, 40, 56)
    found = list(model.stream(iter(scans)))
    assert len(found) == 6 and all(one.dtype == np.float32 and one.shape == (40, 56) for one in found)
    assert np.allclose(found, model.probability(scans), atol=1e-5)


def test_sizes_may_differ_and_order_stays(model):
    scans = [noise(40, 56), noise(40, 56, seed=1), noise(33, 70), noise(40, 56, seed=2)]
    for one, scan in zip(model.stream(scans), scans, strict=True):
        assert np.allclose(one, model.probability(scan[None])[0], atol=1e-5)


def test_only_a_few_scans_are_held(model):
    taken = []

    def scans():
        for place in range(12):
            taken.append(place)
            yield noise(32, 32, seed=place)

    for done, _ in enumerate(model.stream(scans())):
        assert len(taken) <= done + 6
    assert len(taken) == 12
    assert list(model.stream([])) == []


@pytest.mark.parametrize(('scan', 'said'), [
    (np.zeros((4, 5, 3), np.uint8), r'scan 1 has shape \(4, 5, 3\); expected \(height, width\)'),
    (np.zeros((0, 5), np.uint8), r'scan 1 has shape \(0, 5\)'),
    (np.full((32, 32), np.nan), 'scan 1: scans hold NaN'),
    (np.full((32, 32), 256.0), 'scan 1: scans hold gray values from 256 to 256'),
    (np.array([['a']]), 'scan 1: scans hold <U1 values; expected gray values'),
    (np.full((4, 4), None), 'scan 1: scans hold object values'),
    (np.full((4, 4), 1j), 'scan 1: scans hold complex128 values'),
    (np.full((4, 4), True), 'scan 1: scans hold bool values'),
])  # fmt: skip
def test_what_is_no_scan_is_named_by_its_place(model, scan, said):
    with pytest.raises(InputError, match=said):
        list(model.stream([noise(32, 32), scan]))


def test_fractions_of_white_are_refused(model):
    with pytest.raises(InputError, match=r'scan 1 holds gray values up to 0\.78\d*; expected 0\.\.255, scale them first'):
        list(model.stream([np.zeros((32, 32)), noise(32, 32) / 255]))
    assert len(list(model.stream([noise(32, 32).astype(float), np.full((32, 32), 0.5)]))) == 2


def test_the_shipped_model_is_found_from_beside_the_clone(tmp_path):
    (tmp_path / 'octfluid').mkdir()
    done = subprocess.run(
        [sys.executable, '-c', 'from octfluid.inference.model import ScanModel; print(ScanModel().info.threshold)'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, '0.5\n'), done.stderr


def test_a_long_volume_takes_no_more_memory_than_a_short_one():
    short, long = measure_growth((16, 60), (496, 768))  # by 16, the runtime has taken what it works in
    assert (short['scans'], long['scans']) == (16, 60)
    # Its probabilities alone would be 91 MB.
    assert long['peak_bytes'] < short['peak_bytes'] + 30e6


def test_volumes_of_noise_are_the_same_each_time():
    assert all(map(np.array_equal, volume(2, (4, 5)), volume(2, (4, 5))))
