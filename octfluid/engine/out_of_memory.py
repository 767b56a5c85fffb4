"""What to say of a batch that does not fit into memory."""

import torch
from mmengine.config import Config

from octfluid.datasets.memory import available_bytes


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is that of a step that does not fit into the memory of a GPU or of this machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


def memory_advice(cfg: Config, config: str, training: bool, amp: bool) -> str:
    """Say what did not fit, into how much memory, and what would be smaller.

    Args:
        cfg: The resolved config.
        config: The config file as given.
        training: For training, else for scoring.
        amp: Mixed precision was asked for.
    """
    loader = cfg.train_dataloader if training else cfg.val_dataloader
    size = loader.batch_size
    if torch.cuda.is_available():
        place = f'{torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB of {torch.cuda.get_device_name()}'
    else:
        left = available_bytes()
        place = 'the memory of this machine' + ('' if left is None else f' ({left / 2**30:.1f} GiB left)')
    name = f'{"train" if training else "val"}_dataloader.batch_size'
    smaller = f'set {name}={size // 2}' if size > 1 else 'cut smaller windows'
    advice = ', or use --amp' if cfg.get('precision') == 'fp32' and not amp else ''
    return f'{config}: out of memory, batches of {size} do not fit into {place}; {smaller}{advice}'
