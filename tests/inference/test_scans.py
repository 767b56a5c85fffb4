import numpy as np
import pytest

from octfluid.inference import model as models
from octfluid.inference.model import ScanModel
from octfluid.utils.errors import InputError


@pytest.fixture(scope='module')
def model():
    return ScanModel(threads=1)


def scans(number, size=(64, 96)):
    return np.random.default_rng(0).integers(5, 200, (number, *size), dtype=np.uint8)


def test_a_volume_goes_through_a_few_scans_at_a_time(model, monkeypatch):
    """A volume of hundreds of scans would not fit into memory at once."""
    given = scans(9)
    expected = model.probability(given)
    seen = []
    session = model.session

    class Watched:
        def run(self, names, feed):
            seen.append(len(feed['scan']))
            return session.run(names, feed)

    monkeypatch.setattr(model, 'session', Watched())
    assert np.allclose(model.probability(given), expected, atol=1e-5)
    assert seen == [4, 4, 1] and max(seen) == models._AT_ONCE


def test_each_scan_is_itself_whatever_its_neighbours(model):
    given = scans(5)
    alone = np.concatenate([model.probability(scan[None]) for scan in given])
    assert np.allclose(model.probability(given), alone, atol=1e-5)


@pytest.mark.parametrize('value', [0, 1, 100, 255])
def test_an_empty_frame_holds_no_fluid(model, value):
    frame = np.full((2, 64, 96), value, np.uint8)
    assert not model.probability(frame).any()


@pytest.mark.parametrize('channels', [3, 4])
def test_an_image_in_colour_is_no_volume(model, channels):
    with pytest.raises(InputError, match='looks like one image in colour'):
        model.probability(np.zeros((496, 768, channels), np.uint8))
