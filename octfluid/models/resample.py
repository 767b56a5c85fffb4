"""Resizing of scans and probabilities that runs the same in PyTorch and in an exported model."""

import torch
from torch import Tensor


def resize_weights(source: int | Tensor, target: int | Tensor, like: Tensor) -> Tensor:
    """Return the weights of an antialiased linear resize along one axis.

    A triangle filter, widened by the factor of a reduction so that every source pixel counts, and normalised at the borders:
    the ``bilinear`` filter of Pillow, and of ``torch.nn.functional.interpolate`` with ``antialias=True``. A product of
    matrices, it needs no operator of its own when a model is exported, whatever the size of the scan.

    Returns:
        (target, source), rows summing to 1, with the dtype and device of ``like``.
    """
    ones = torch.ones((), dtype=like.dtype, device=like.device)
    factor = ones * source / (ones * target)
    reach = torch.maximum(factor, ones)
    before = torch.arange(source, dtype=like.dtype, device=like.device) + 0.5
    after = (torch.arange(target, dtype=like.dtype, device=like.device) + 0.5) * factor
    weights = (1 - (before[None, :] - after[:, None]).abs() / reach).clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize images, floating (N, C, H, W), to (N, C, height, width) with an antialiased linear filter: `resize_weights`."""
    rows = resize_weights(images.shape[2], height, images)
    columns = resize_weights(images.shape[3], width, images)
    return rows @ images @ columns.T
