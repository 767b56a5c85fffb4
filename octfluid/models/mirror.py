"""Test-time augmentation of any segmentor: the mean over a scan and its horizontal mirror image."""

from functools import partial

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor, nn


def _mirrored_inference(model: nn.Module, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    infer = partial(EncoderDecoder.inference, model)
    direct = infer(inputs, batch_img_metas).softmax(dim=1)
    mirrored = infer(inputs.flip(3), batch_img_metas).softmax(dim=1).flip(3)
    # The logarithm of a mean probability is a logit of it: its softmax is that mean again.
    return ((direct + mirrored) / 2).clamp(min=torch.finfo(direct.dtype).tiny).log()


def use_mirror(model: nn.Module) -> None:
    """Have a built segmentor average its probabilities over each scan and its mirror image.

    Vertical mirror images are left out: no scanner makes them.

    Args:
        model: An mmseg segmentor, changed in place; its classes exclude each other (softmax).
    """
    model.inference = partial(_mirrored_inference, model)
