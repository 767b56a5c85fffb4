"""Losses for decode heads, registered with MMSegmentation."""

import torch
import torch.nn.functional as F
from mmseg.models.losses.utils import weight_reduce_loss
from mmseg.registry import MODELS
from torch import Tensor, nn

REDUCTIONS = ('none', 'mean', 'sum')


@MODELS.register_module()
class SigmoidFocalLoss(nn.Module):
    """Sigmoid focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017) without compiled operators.

    For every pixel and class with logit x and p = sigmoid(x)::

        -alpha * (1 - p)**gamma * log(p)            if the pixel is of that class
        -(1 - alpha) * p**gamma * log(1 - p)        if it is of another one

    This is what mmseg's ``FocalLoss`` computes on CUDA with mmcv's compiled operator. That class cannot be used here: without
    the compiled operator it fails on CUDA, and on CPU it takes a column of the one-hot labels that is always zero in place of
    the labels.

    Args:
        gamma: Focusing exponent, at least 0. With 0 this is a weighted binary cross entropy.
        alpha: Weight of a pixel's own class, in [0, 1]; its other classes weigh ``1 - alpha``.
        reduction: ``'none'``, ``'mean'`` or ``'sum'`` over pixels and classes.
        loss_weight: Factor of the result.
        loss_name: Name in the log; must begin with ``loss_`` to be trained on.

    Raises:
        ValueError: An argument is outside its range.

    Example:
        >>> loss = SigmoidFocalLoss()
        >>> loss(torch.zeros(2, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))    # p = 0.5: 0.5 * 0.5**2 * log(2)
        tensor(0.0866)
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 0.5,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ValueError(f'gamma is {gamma}; expected a number of at least 0')
        if not 0 <= alpha <= 1:
            raise ValueError(f'alpha is {alpha}; expected a number from 0 to 1')
        self.gamma = gamma
        self.alpha = alpha
        self.reduction = _checked_reduction(reduction)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name under which a decode head sums and logs this loss."""
        return self._loss_name

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compute the loss, in float32 whatever autocast made of the logits (in float64 if they are float64).

        Args:
            pred: Logits, floating, (N, C, H, W), any number of trailing dimensions. With C = 1 the only class is label 1.
            target: Labels, int64, (N, H, W), each 0..C-1 (0 or 1 if C = 1) or ``ignore_index``.
            weight: Weight of each pixel, floating, (N, H, W).
            avg_factor: Divisor in place of the number of elements; only for ``'mean'`` (``'none'`` is not divided).
            reduction_override: Reduction for this call.
            ignore_index: Label whose pixels add nothing.

        Returns:
            (N, C, H, W) for ``'none'``, otherwise a scalar. As in mmseg's ``FocalLoss``, ``'mean'`` divides by *all* N*C*H*W
            elements: ignored pixels add 0 to the sum and yet count in the divisor.

        Raises:
            ValueError: Shapes do not fit together, the reduction is unknown, or ``avg_factor`` comes with ``'sum'``.
            RuntimeError: A label is neither a class nor ``ignore_index`` (on CUDA a device-side assert).
        """
        reduction = _checked_reduction(reduction_override or self.reduction)
        pixels = (pred.shape[0], *pred.shape[2:])
        for name, tensor in (('target', target), ('weight', weight)):
            if tensor is not None and tensor.shape != pixels:
                raise ValueError(f'{name} has shape {tuple(tensor.shape)}; expected {pixels} for logits {tuple(pred.shape)}')
        loss = self._elementwise(pred, target, ignore_index)
        weight = None if weight is None else weight.unsqueeze(1)
        return self.loss_weight * weight_reduce_loss(loss, weight, reduction, avg_factor)

    def _elementwise(self, pred: Tensor, target: Tensor, ignore_index: int) -> Tensor:
        logits = pred if pred.dtype == torch.float64 else pred.float()
        valid = (target != ignore_index).unsqueeze(1)
        classes = pred.shape[1]
        own = torch.zeros(pred.shape[0], max(classes, 2), *pred.shape[2:], dtype=torch.bool, device=pred.device)
        # Unlike a comparison with the class numbers, scatter_ fails on a label that is no class.
        own.scatter_(1, torch.where(valid, target.unsqueeze(1), 0), True)
        own = own[:, -classes:]
        # With z = x for a pixel's own class and -x otherwise, both branches of the definition are
        # -a * sigmoid(-z)**gamma * log(sigmoid(z)). The power is taken as an exponential of a logarithm, because
        # the derivative of pow() at an underflowed 0 is infinite for gamma < 1.
        z = torch.where(own, logits, -logits)
        unbalanced = -torch.exp(self.gamma * F.logsigmoid(-z)) * F.logsigmoid(z)
        return torch.where(own, self.alpha * unbalanced, (1 - self.alpha) * unbalanced) * valid


def _checked_reduction(reduction: str) -> str:
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction is {reduction!r}; expected one of {", ".join(REDUCTIONS)}')
    return reduction
