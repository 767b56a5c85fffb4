import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from octfluid.datasets.phantoms import make_phantom

sides = st.integers(64, 320)


@pytest.fixture(scope='module')
def phantoms():
    return [make_phantom(seed) for seed in range(30)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), height=sides, width=sides)
def test_any_size_and_seed(seed, height, width):
    image, mask = make_phantom(seed, height, width, fluid=True)
    assert image.shape == mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}
    assert 0.004 <= mask.mean() <= 0.035
    assert label(mask, np.ones((3, 3)))[1] <= 4
    assert image.std() > 15
    again = make_phantom(seed, height, width, fluid=True)
    assert np.array_equal(image, again[0]) and np.array_equal(mask, again[1])
    assert not make_phantom(seed, 64, 96, fluid=False)[1].any()


def test_generator_is_pinned(phantoms):
    # Published quickstart scores depend on these pictures. Means, not bytes: the last bit of exp() may differ between CPUs.
    means = [phantoms[seed][0].mean() for seed in (0, 1, 2)]
    assert means == pytest.approx([53.439, 48.276, 39.909], abs=0.01)
    # Pockets that would reach into the nerve fibres or the ellipsoid zone are cut off, such as one of seed 20.
    areas = [int(mask.sum()) for _, mask in [*phantoms[:3], make_phantom(20, fluid=True)]]
    assert areas == pytest.approx([1629, 0, 1797, 1457], abs=2)
    assert 16 <= sum(mask.any() for _, mask in phantoms) <= 26
