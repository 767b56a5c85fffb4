"""Mixed precision that works on CPUs too, in training and in scoring."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from mmcv.cnn import ConvModule, fuse_conv_bn
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import Tensor, nn

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}
"""Of the mixed precisions, by their names in a run record."""


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """An optimizer wrapper whose forward passes run under bfloat16 autocast, on CPU or CUDA.

    bfloat16 has the exponent range of float32, so no gradient scaler is needed. mmengine's `AmpOptimWrapper` refuses CPUs.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the block under bfloat16 autocast on the device of ``model``."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, dtype=torch.bfloat16):
            yield


def mixed_precision() -> str:
    """Return what ``--amp`` means on this machine: 'bf16' on CPUs and on GPUs that have it, else 'fp16'."""
    without = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
    return 'fp16' if without else 'bf16'


def enable_mixed_precision(cfg: Config) -> None:
    """Make a resolved config train in mixed precision (``--amp``).

    The one of `mixed_precision`; float16 with mmengine's gradient scaler. Turns on channels-last memory.
    """
    if mixed_precision() == 'fp16':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
    else:
        cfg.optim_wrapper.type = 'BFloat16OptimWrapper'
    cfg.channels_last = True


def check_optimizer(cfg: Config) -> None:
    """Raise a ValueError that names an optimizer which does not exist; mmengine's own error does not."""
    name = cfg.optim_wrapper.optimizer.type
    if isinstance(name, str) and OPTIMIZERS.get(name) is None:
        raise ValueError(f"no optimizer '{name}'; expected one of torch's, such as SGD")


def precision_of(cfg: Config) -> str:
    """Return 'fp32', 'bf16' or 'fp16': the precision in which a resolved config's optimizer wrapper has it trained."""
    wrapper = cfg.optim_wrapper
    if wrapper.type == 'BFloat16OptimWrapper' or (wrapper.type == 'AmpOptimWrapper' and wrapper.get('dtype') == 'bfloat16'):
        return 'bf16'
    return 'fp16' if wrapper.type == 'AmpOptimWrapper' else 'fp32'


def keep_logits_float32(model: nn.Module) -> None:
    """Hand the losses float32 logits under autocast: sums over a whole image lose too much in 16 bits.

    Args:
        model: An mmseg segmentor; the classifier of each of its heads is hooked.
    """
    for module in model.modules():
        if isinstance(getattr(module, 'conv_seg', None), nn.Module):
            module.conv_seg.register_forward_hook(lambda _module, _inputs, logits: logits.float())


def _encode_decode_in(model: nn.Module, dtype: torch.dtype, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    with torch.autocast(inputs.device.type, dtype=dtype):
        return type(model).encode_decode(model, inputs, batch_img_metas).float()


def score_in(model: nn.Module, precision: str) -> None:
    """Have a built segmentor predict in a precision; its training is not concerned.

    Only the network itself runs in 16 bits: windows are summed, resized and turned into labels in float32. mmengine's
    ``fp16=True`` of validation and test loops covers all that too, and is float16 on every GPU.

    Args:
        model: An mmseg segmentor, changed in place.
        precision: 'fp32', 'bf16' or 'fp16'.
    """
    if precision in DTYPES:
        model.encode_decode = partial(_encode_decode_in, model, DTYPES[precision])


def prepare_weights(model: nn.Module, precision: str) -> None:
    """Prepare the weights of a segmentor, and of the others of its ensemble, for prediction alone.

    Batch normalisation becomes part of the convolution before it, 1x1 convolutions of enlarged features are done before these
    are enlarged, and in 16 bits the convolutions' weights are rounded once rather than in every forward pass.

    Args:
        model: An mmseg segmentor with its weights in place, changed in place; it cannot be trained or saved any more.
        precision: As in `score_in`.
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
    from mmseg.models.backbones.unet import InterpConv  # after `octfluid.register`, which silences what mmseg says

    for module in model.modules():
        if not isinstance(module, InterpConv) or isinstance(module.interp_upsample[0], ConvModule):
            continue
        enlarge, convolution = module.interp_upsample
        plain = convolution.order == ('conv', 'norm', 'act') and convolution.conv.kernel_size == (1, 1)
        if plain and convolution.conv.stride == (1, 1) and not any(convolution.conv.padding) and _without_norm(convolution):
            after = [convolution.activate] if convolution.with_activation else []
            module.interp_upsample = nn.Sequential(convolution.conv, enlarge, *after)


def _without_norm(module: ConvModule) -> bool:
    return not module.with_norm or isinstance(module.norm, nn.Identity)
