import numpy as np
import pytest
import torch

from octfluid.datasets.standardize import HIGHEST, LOWEST, StandardizeScan, has_contrast, standardize


def test_tissue_has_mean_0_and_deviation_1_whatever_the_filling():
    scan = torch.from_numpy(np.random.default_rng(0).uniform(20, 120, (1, 1, 40, 60)))
    plain = standardize(scan)
    assert plain.mean().item() == pytest.approx(0, abs=1e-9)
    assert plain.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    for filling, limit in ((255.0, HIGHEST), (0.0, LOWEST)):
        filled = scan.clone()
        filled[..., 30:, :] = filling
        standard = standardize(filled)
        assert torch.allclose(standard[..., :30, :], standardize(scan[..., :30, :]), atol=1e-9)
        assert LOWEST <= standard[..., 30:, :].unique().item() <= HIGHEST
        assert np.sign(standard[..., -1, -1].item()) == np.sign(limit)


def test_contrast_is_that_of_the_pixels_that_count():
    noise = torch.from_numpy(np.random.default_rng(0).uniform(20, 120, (1, 16, 16)))
    filled = torch.cat([noise[..., :8], torch.full((1, 16, 8), 255.0)], dim=2)
    assert torch.equal(standardize(torch.full((1, 1, 8, 8), 77.0)), torch.zeros(1, 1, 8, 8))
    frames = [noise, filled, torch.full((1, 16, 16), 7.0), torch.zeros(1, 16, 16), torch.full((1, 16, 16), 255.0)]
    assert has_contrast(torch.stack(frames)).flatten().tolist() == [1, 1, 0, 0, 0]
    # Black beside white has no gray value between them.
    assert has_contrast(torch.tensor([[0.0, 255.0], [255.0, 0.0]])[None]).item() == 0


def test_the_transform_does_the_same():
    scan = np.random.default_rng(0).integers(0, 256, (12, 20), dtype=np.uint8)
    standard = StandardizeScan()(dict(img=scan))['img']
    assert standard.dtype == np.float32
    assert np.array_equal(standard, standardize(torch.from_numpy(scan.astype(np.float32))).numpy())
