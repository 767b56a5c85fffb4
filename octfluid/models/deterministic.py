"""What CUDA has no deterministic kernel for, by operators that have one; the same values up to rounding.

With `torch.use_deterministic_algorithms`, PyTorch refuses on CUDA what it cannot do the same way twice. Of what our networks
use these are the gradient of adaptive average pooling (the PSPNet and ASPP heads) and the cross entropy of images; bilinear
resizing it replaces by itself. See "Reproducibility" in PyTorch's documentation.
"""

from collections.abc import Callable

import torch
from mmseg.models.losses import CrossEntropyLoss
from torch import Tensor, nn


class AveragePool(nn.Module):
    """`torch.nn.AdaptiveAvgPool2d` as two products of matrices.

    Args:
        size: Height and width of the result.
    """

    def __init__(self, size: int | tuple[int, int]) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean of each bin: (N, C, H, W) to (N, C, *size), the same dtype."""
        down, across = (_bins(length, number, features) for length, number in zip(features.shape[2:], self.size, strict=True))
        return down @ features @ across.mT


def _bins(length: int, number: int, like: Tensor) -> Tensor:
    """Return the weights of pooling along one axis, (number, length): bin i is from floor(i L / n) to ceil((i + 1) L / n)."""
    place, bins = torch.arange(length, device=like.device), torch.arange(number, device=like.device)[:, None]
    first, end = bins * length // number, -(-(bins + 1) * length // number)
    inside = ((place >= first) & (place < end)).to(like.dtype)
    return inside / inside.sum(dim=1, keepdim=True)


def _by_pixel(criterion: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Give mmseg's ``cross_entropy`` its pixels as a list: only the kernel for images is not deterministic."""

    def compute(
        pred: Tensor, label: Tensor, weight: Tensor | None = None, reduction: str = 'mean', **options: object
    ) -> Tensor:
        listed = pred.movedim(1, -1).reshape(-1, pred.shape[1])
        weights = None if weight is None else weight.reshape(-1)
        loss = criterion(listed, label.reshape(-1), weights, reduction=reduction, **options)
        return loss.reshape(label.shape) if reduction == 'none' else loss

    return compute


def use_deterministic_operators(model: nn.Module) -> None:
    """Replace, in place, the operators of a network and its losses that have no deterministic kernel on CUDA."""
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(module, name, AveragePool(child.output_size))
        if isinstance(module, CrossEntropyLoss) and not (module.use_sigmoid or module.use_mask):
            module.cls_criterion = _by_pixel(module.cls_criterion)
