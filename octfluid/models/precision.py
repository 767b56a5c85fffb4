"""Scoring of a built segmentor in a given precision, and weights prepared for prediction alone."""

from functools import partial

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from mmseg.models.backbones.unet import InterpConv
from torch import Tensor, nn

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
"""The mixed precisions, by their names in a run record."""


def keep_logits_float32(model: nn.Module) -> None:
    """Hand the losses of a segmentor float32 logits under autocast: sums over a whole image lose too much in 16 bits."""
    for module in model.modules():
        if isinstance(getattr(module, 'conv_seg', None), nn.Module):
            module.conv_seg.register_forward_hook(lambda _module, _inputs, logits: logits.float())


def _encode_decode_in(model: nn.Module, dtype: torch.dtype, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    with torch.autocast(inputs.device.type, dtype=dtype):
        return type(model).encode_decode(model, inputs, batch_img_metas).float()


def score_in(model: nn.Module, precision: str) -> None:
    """Have a built segmentor predict in a precision ('fp32', 'bf16', 'fp16'); its training is not concerned.

    Only the network itself runs in 16 bits: windows are summed, resized and turned into labels in float32. mmengine's
    ``fp16=True`` of validation and test loops covers all that too, and is float16 on every GPU.
    """
    if precision in DTYPES:
        model.encode_decode = partial(_encode_decode_in, model, DTYPES[precision])


def prepare_weights(model: nn.Module, precision: str) -> None:
    """Prepare the weights of a segmentor, and of the others of its ensemble, in place: it cannot be trained any more.

    Batch normalisation becomes part of the convolution before it, 1x1 convolutions of enlarged features are done before these
    are enlarged, and in 16 bits the convolutions' weights are rounded once rather than in every forward pass.
    """
    for member in (model, *getattr(model, 'others', ())):
        fuse_conv_bn(member)
        _enlarge_last(member)
        for module in member.modules():
            if precision in DTYPES and isinstance(module, nn.Conv2d):
                module.to(DTYPES[precision])


def _enlarge_last(model: nn.Module) -> None:
    """Have a U-Net of mmseg enlarge its features after the 1x1 convolution for them, not before: a quarter of the work.

    Weights of an interpolation sum to 1, so that it may change places with what is linear in the channels and adds a constant:
    exactly, but for rounding. A normalisation that was not folded stays where it is.
    """
    for module in model.modules():
        if not isinstance(module, InterpConv) or isinstance(module.interp_upsample[0], ConvModule):
            continue
        enlarge, convolution = module.interp_upsample
        folded = not convolution.with_norm or isinstance(convolution.norm, nn.Identity)
        if folded and convolution.order == ('conv', 'norm', 'act') and convolution.conv.kernel_size == (1, 1):
            after = [convolution.activate] if convolution.with_activation else []
            module.interp_upsample = nn.Sequential(convolution.conv, enlarge, *after)
