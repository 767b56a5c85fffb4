import numpy as np
import pytest
import torch
from PIL import Image

from octfluid.models.resample import resize

CASES = [((496, 768), (256, 384)), ((256, 384), (496, 768)), ((360, 480), (256, 384)), ((17, 5), (3, 40)), ((1, 1), (4, 6))]


@pytest.mark.parametrize(('before', 'after'), CASES)
def test_against_pillow_and_torch(before, after):
    image = np.random.default_rng(0).random(before, dtype=np.float32)
    ours = resize(torch.from_numpy(image)[None, None], *after)[0, 0].numpy()
    pillow = np.asarray(Image.fromarray(image).resize(after[::-1], Image.Resampling.BILINEAR))
    # Coordinates of some hundred pixels have float32 steps of 3e-5.
    assert np.abs(ours - pillow).max() < 5e-5
    double = torch.from_numpy(image)[None, None].double()
    oracle = torch.nn.functional.interpolate(double, after, mode='bilinear', antialias=True)
    assert torch.allclose(resize(double, *after), oracle, atol=1e-6)
