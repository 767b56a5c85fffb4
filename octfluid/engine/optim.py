"""Mixed precision that works on CPUs too."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn


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


def enable_mixed_precision(cfg: Config) -> None:
    """Make a resolved config train in mixed precision (``--amp``).

    bfloat16 on CPUs and on GPUs that have it, else float16 with mmengine's gradient scaler. Turns on channels-last memory.
    """
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False):
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
