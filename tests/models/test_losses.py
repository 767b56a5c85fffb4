import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.losses.focal_loss import py_sigmoid_focal_loss
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from octfluid.models.losses import BatchDiceLoss, SigmoidFocalLoss

IGNORED = 255


def example(classes=2, dtype=torch.float32):
    """Logits (2, C, 3, 4) and labels (2, 3, 4) of which some are ignored."""
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(2, classes, 3, 4, generator=generator, dtype=torch.float64)).to(dtype)
    labels = torch.randint(0, classes, (2, 3, 4), generator=generator)
    labels[0, 0, :2] = IGNORED
    labels[1, 2, 3] = IGNORED
    return logits, labels


@pytest.mark.parametrize('gamma', [0.0, 0.5, 5.0])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_extreme_logits_are_finite(gamma, dtype):
    logits = torch.tensor([-1e4, -100.0, 100.0, 1e4], dtype=dtype).repeat(2, 1).reshape(1, 2, 1, 4).requires_grad_()
    loss = SigmoidFocalLoss(gamma=gamma)(logits, torch.tensor([[[0, 0, 0, 1]]]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    # A wrong logit of size 100 costs 0.5 * log(1 + e^100) = 50; a right one nothing.
    wrong = SigmoidFocalLoss(gamma=gamma)(logits[..., 1:2], torch.tensor([[[0]]]))
    assert wrong.item() == pytest.approx(25, rel=1e-3)


def test_works_in_a_decode_head():
    losses = [{'type': 'SigmoidFocalLoss', 'loss_weight': 2.0}, {'type': 'CrossEntropyLoss'}]
    head = {'type': 'FCNHead', 'in_channels': 4, 'channels': 4, 'num_convs': 1, 'num_classes': 2, 'loss_decode': losses}
    head = MODELS.build(head)
    logits, labels = example(2)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    losses = head.loss_by_feat(logits, samples)
    torch.testing.assert_close(losses['loss_focal'], 2 * SigmoidFocalLoss()(logits, labels))
    assert 'loss_ce' in losses


@pytest.mark.parametrize(('alpha', 'gamma'), [(0.3, 2.0), (0.9, 0.5), (0.5, 0.0)])
def test_values_and_gradients_equal_mmsegs_formula(alpha, gamma):
    logits, labels = example(3, dtype=torch.float64)
    ours, theirs = (logits.clone().requires_grad_() for _ in range(2))
    weight = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # mmseg's formula with the one-hot labels that its CPU branch ought to have passed.
    one_hot = torch.nn.functional.one_hot(torch.where(labels == IGNORED, 0, labels).reshape(-1), 3)
    flat, valid = theirs.transpose(0, 1).reshape(3, -1).T, (labels != IGNORED).reshape(-1, 1)
    expected = 3 * py_sigmoid_focal_loss(flat, one_hot, weight=weight.reshape(-1), gamma=gamma, alpha=alpha, valid_mask=valid)
    value = SigmoidFocalLoss(alpha=alpha, gamma=gamma, loss_weight=3.0)(ours, labels, weight=weight)
    torch.testing.assert_close(value, expected, rtol=1e-9, atol=0)
    (found,), (expected,) = torch.autograd.grad(value, ours), torch.autograd.grad(expected, theirs)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert found[0, :, 0, :2].abs().max() == 0


@pytest.mark.parametrize('loss', [SigmoidFocalLoss(), BatchDiceLoss()])
def test_shapes_that_do_not_fit_are_refused(loss):
    with pytest.raises(ValueError, match='expected'):
        loss(torch.zeros(2, 2, 3, 4), torch.zeros(2, 3, 3).long())
    with pytest.raises(RuntimeError):
        SigmoidFocalLoss()(torch.zeros(1, 2, 1, 1), torch.full((1, 1, 1), 2))


def logits_of(probability):
    """Two-class logits with the given probabilities of class 1, (N, H, W)."""
    p = torch.as_tensor(probability, dtype=torch.float64)
    return torch.stack([torch.log1p(-p), torch.log(p)], dim=1)


def test_dice_by_hand():
    # Two images together, p = .8 .2 / .6 .4, truth 1 0 / 1 1: overlap 1.8, sums 2 and 3, so Dice = (3.6 + 1) / (5 + 1).
    loss = BatchDiceLoss(smooth=1.0, loss_weight=0.5)
    value = loss(logits_of([[[0.8, 0.2]], [[0.6, 0.4]]]), torch.tensor([[[1, 0]], [[1, 1]]]))
    assert value.item() == pytest.approx(0.5 * (1 - 4.6 / 6), abs=1e-12)


def test_dice_ignored_and_unweighted_pixels_add_nothing():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 8, 8, generator=generator)
    target = torch.randint(0, 2, (1, 8, 8), generator=generator)
    expected = BatchDiceLoss()(logits[..., :5], target[..., :5])
    ignored, weight = target.clone(), torch.ones(1, 8, 8)
    ignored[..., 5:], weight[..., 5:] = 255, 0
    assert torch.allclose(BatchDiceLoss()(logits, ignored), expected)
    assert torch.allclose(BatchDiceLoss()(logits, target, weight=weight), expected)


def test_dice_sums_survive_bfloat16():
    logits = torch.zeros(1, 2, 300, 300, dtype=torch.bfloat16)
    target = torch.zeros(1, 300, 300, dtype=torch.long)
    target[0, :, :150] = 1
    assert BatchDiceLoss()(logits, target).item() == pytest.approx(0.5, abs=1e-4)
