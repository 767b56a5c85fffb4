"""Losses for decode heads, registered with MMSegmentation."""

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn


def _prepared(pred: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int) -> tuple[Tensor, Tensor]:
    """Return float32 (or float64) logits under autocast too, and how much each pixel counts: 0 where it is ignored."""
    if target.shape != (pred.shape[0], *pred.shape[2:]):
        raise ValueError(f'logits {tuple(pred.shape)} and target {tuple(target.shape)}; expected (N, C, H, W) and (N, H, W)')
    logits = pred if pred.dtype == torch.float64 else pred.float()
    counted = (target != ignore_index).to(logits.dtype)
    return logits, counted if weight is None else counted * weight


@MODELS.register_module()
class SigmoidFocalLoss(nn.Module):
    """Sigmoid focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017) without compiled operators.

    For every pixel and class with logit x and p = sigmoid(x)::

        -alpha * (1 - p)**gamma * log(p)            if the pixel is of that class
        -(1 - alpha) * p**gamma * log(1 - p)        if it is of another one

    This is what mmseg's ``FocalLoss`` computes on CUDA with mmcv's compiled operator. Without the operator that class fails on
    CUDA, and on CPU it takes a column of the one-hot labels that is always zero in place of the labels.

    Args:
        gamma: Focusing exponent, at least 0. With 0 this is a weighted binary cross entropy.
        alpha: Weight of a pixel's own class, in [0, 1]; its other classes weigh ``1 - alpha``.
        loss_weight: Factor of the result.
        loss_name: Name in the log; must begin with ``loss_`` to be trained on.

    Example:
        >>> loss = SigmoidFocalLoss()
        >>> loss(torch.zeros(2, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))    # p = 0.5: 0.5 * 0.5**2 * log(2)
        tensor(0.0866)
    """

    def __init__(self, gamma: float = 2.0, alpha: float = 0.5, loss_weight: float = 1.0, loss_name: str = 'loss_focal') -> None:
        super().__init__()
        self.gamma, self.alpha = gamma, alpha
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **_: object
    ) -> Tensor:
        """Compute the mean over all N*C*H*W elements; ignored pixels add 0 and yet count in the divisor, as in mmseg.

        Args:
            pred: Logits, floating, (N, C, H, W), C >= 2.
            target: Labels, int64, (N, H, W), each 0..C-1 or ``ignore_index``.
            weight: Weight of each pixel, floating, (N, H, W).
            ignore_index: Label whose pixels add nothing.

        Raises:
            ValueError: Shapes do not fit together.
            RuntimeError: A label is neither a class nor ``ignore_index`` (on CUDA a device-side assert).
        """
        logits, counted = _prepared(pred, target, weight, ignore_index)
        # Unlike a comparison with the class numbers, scatter_ fails on a label that is no class.
        label = torch.where(target == ignore_index, 0, target).unsqueeze(1)
        own = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, label, True)
        # With z = x for a pixel's own class and -x otherwise, both branches of the definition are
        # -a * sigmoid(-z)**gamma * log(sigmoid(z)). The power is taken as an exponential of a logarithm, because
        # the derivative of pow() at an underflowed 0 is infinite for gamma < 1.
        z = torch.where(own, logits, -logits)
        unbalanced = -torch.exp(self.gamma * F.logsigmoid(-z)) * F.logsigmoid(z)
        loss = torch.where(own, self.alpha * unbalanced, (1 - self.alpha) * unbalanced)
        return self.loss_weight * (loss * counted.unsqueeze(1)).mean()


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """One minus the soft Dice of a class, its sums taken over all pixels of the batch.

    With the class's probability p and truth t (0 or 1) of each counted pixel::

        1 - (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)

    The loss of Milletari et al. (V-Net, 3DV 2016) without squares in the denominator, over the batch as in nnU-Net. mmseg's
    ``DiceLoss`` takes the mean over images: there an image without fluid costs almost 1 for any small probability left.

    Args:
        label: The class.
        smooth: Added above and below the line, in pixels; 0 < smooth. A batch without the class has a loss near 0 when nothing
            is predicted.
        loss_weight: Factor of the result.
        loss_name: Name in the log; must begin with ``loss_`` to be trained on.

    Example:
        >>> loss = BatchDiceLoss(smooth=1e-6)
        >>> loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))    # p = 0.5: 1 - 2 * 1 / (2 + 2)
        tensor(0.5000)
    """

    def __init__(self, label: int = 1, smooth: float = 1.0, loss_weight: float = 1.0, loss_name: str = 'loss_dice') -> None:
        super().__init__()
        self.label, self.smooth = label, smooth
        self.loss_weight, self.loss_name = loss_weight, loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **_: object
    ) -> Tensor:
        """Return the loss, a scalar in [0, loss_weight]; arguments and errors are those of `SigmoidFocalLoss.forward`."""
        logits, counted = _prepared(pred, target, weight, ignore_index)
        probability = logits.softmax(dim=1)[:, self.label]
        truth = (target == self.label) * counted
        total = (probability * counted).sum() + truth.sum()
        dice = (2 * (probability * truth).sum() + self.smooth) / (total + self.smooth)
        return self.loss_weight * (1 - dice)
