import numpy as np
import pytest
import torch
from monai.losses import DiceLoss as MonaiDiceLoss

from octfluid.models.dice import BatchDiceLoss


def logits_of(probability):
    """Two-class logits with the given probabilities of class 1, (N, H, W)."""
    p = torch.as_tensor(probability, dtype=torch.float64)
    return torch.stack([torch.log1p(-p), torch.log(p)], dim=1)


def test_by_hand():
    # p = .8 .2 / .6 .4, truth 1 0 / 1 1: overlap 1.8, sums 2 and 3, so Dice = (3.6 + 1) / (5 + 1).
    loss = BatchDiceLoss(smooth=1.0, loss_weight=0.5)
    value = loss(logits_of([[[0.8, 0.2], [0.6, 0.4]]]), torch.tensor([[[1, 0], [1, 1]]]))
    assert value.item() == pytest.approx(0.5 * (1 - 4.6 / 6), abs=1e-12)


@pytest.mark.parametrize('seed', range(5))
def test_against_monai(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 2, 9, 7, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 2, (3, 9, 7), generator=generator)
    # MONAI adds its smooth terms beside twice the overlap and beside the sums, as we do.
    oracle = MonaiDiceLoss(include_background=False, softmax=True, to_onehot_y=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    assert BatchDiceLoss()(logits, target).item() == pytest.approx(oracle(logits, target[:, None]).item(), abs=1e-12)


def test_a_batch_counts_as_one_image():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 2, 6, 6, generator=generator)
    target = (torch.rand(4, 6, 6, generator=generator) > 0.8).long()
    target[1:] = 0
    together = logits.permute(1, 0, 2, 3).reshape(1, 2, 24, 6)
    assert torch.allclose(BatchDiceLoss()(logits, target), BatchDiceLoss()(together, target.reshape(1, 24, 6)))


def test_ignored_and_unweighted_pixels_add_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 8, 8, generator=generator)
    target = torch.randint(0, 2, (1, 8, 8), generator=generator)
    expected = BatchDiceLoss()(logits[..., :5], target[..., :5])
    ignored, weight = target.clone(), torch.ones(1, 8, 8)
    ignored[..., 5:], weight[..., 5:] = 255, 0
    assert torch.allclose(BatchDiceLoss()(logits, ignored), expected)
    assert torch.allclose(BatchDiceLoss()(logits, target, weight=weight), expected)


def test_without_fluid_it_falls_with_what_is_predicted():
    empty = torch.zeros(1, 10, 10, dtype=torch.long)
    values = [BatchDiceLoss()(logits_of(np.full((1, 10, 10), p)), empty).item() for p in (1e-6, 0.01, 0.5)]
    assert values[0] < 1e-3 and values == sorted(values) and values[2] == pytest.approx(1 - 1 / 51)


def test_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.randint(0, 2, (2, 3, 4), generator=generator)
    assert torch.autograd.gradcheck(lambda given: BatchDiceLoss()(given, target), logits)


def test_sums_survive_bfloat16():
    logits = torch.zeros(1, 2, 300, 300, dtype=torch.bfloat16)
    target = torch.zeros(1, 300, 300, dtype=torch.long)
    target[0, :, :150] = 1
    assert BatchDiceLoss()(logits, target).item() == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize('shape', [(1, 2, 4, 5), (2, 2, 4, 4), (1, 1, 4, 4)])
def test_shapes_that_do_not_fit(shape):
    with pytest.raises(ValueError, match='expected'):
        BatchDiceLoss()(torch.zeros(shape), torch.zeros(1, 4, 4, dtype=torch.long))
