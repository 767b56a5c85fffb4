"""Precision, memory format, loading of data and what else makes a run faster without changing what it computes."""

import logging
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS, OPTIM_WRAPPERS
from torch import nn
from torch.utils.benchmark import Timer
from torch.utils.data import DataLoader

from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.engine.hooks import bare_model, is_training
from octfluid.models.deterministic import use_deterministic_operators
from octfluid.models.precision import DTYPES, keep_logits_float32, prepare_weights, score_in
from octfluid.models.slide_inference import use_window_batches
from octfluid.utils.machine import peak_memory, reuse_freed_memory

WINDOWS_AT_ONCE = 8
SHARED_MEMORY = Path('/dev/shm')
"""Through which workers hand over batches; a container may have as little as 64 MB."""
SECONDS_FOR_A_BATCH = 600
STEPS_TO_JUDGE, MOST_WAITING = 50, 0.2
"""After as many steps a training says if they wait for data for more than this share of their time."""


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
    """Return what mixed precision means on this machine: 'bf16' on CPUs and on GPUs that have it, else 'fp16'."""
    without = torch.cuda.is_available() and not torch.cuda.is_bf16_supported(including_emulation=False)
    return 'fp16' if without else 'bf16'


def use_precision(cfg: Config, precision: str) -> None:
    """Set the optimizer wrapper of a config to 'fp32', 'bf16' or 'fp16' (mmengine's wrapper with a gradient scaler)."""
    half = dict(type='AmpOptimWrapper', loss_scale='dynamic', dtype='float16')
    wrappers = dict(fp32=dict(type='OptimWrapper'), bf16=dict(type='BFloat16OptimWrapper'), fp16=half)
    cfg.optim_wrapper.update(wrappers[precision])


def precision_of(cfg: Config) -> str:
    """Return 'fp32', 'bf16' or 'fp16': the precision in which a config's optimizer wrapper trains; 'fp32' without one."""
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') == 'AmpOptimWrapper' and wrapper.get('dtype') != 'bfloat16':
        return 'fp16'
    return 'bf16' if wrapper.get('type') in ('AmpOptimWrapper', 'BFloat16OptimWrapper') else 'fp32'


def speed_of_mixed() -> float:
    """Measure in under a second how many times as fast as in float32 a 3x3 convolution runs in mixed precision."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    size, repeats = (256, 20) if device == 'cuda' else (24, 3)
    layer = nn.Conv2d(64, 64, 3, padding=1).to(device, memory_format=torch.channels_last)
    features = torch.randn(2, 64, size, size, device=device).to(memory_format=torch.channels_last).requires_grad_()
    step = Timer('layer(features).sum().backward()', globals=locals(), num_threads=torch.get_num_threads())
    seconds = []
    for mixed in (False, True):
        with torch.autocast(device, dtype=DTYPES[mixed_precision()], enabled=mixed):
            seconds.append(step.timeit(repeats).mean)
    return seconds[0] / seconds[1]


class FeedingRunner(Runner):
    """mmengine's Runner, whose loaders fit the machine; see `feed`."""

    @staticmethod
    def build_dataloader(dataloader: Any, seed: int | None = None, diff_rank_seed: bool = False) -> DataLoader:
        """Build a loader as mmengine does, then `feed`."""
        if isinstance(dataloader, dict) and not dataloader.get('num_workers'):  # a config's own 0, and its base's True
            dataloader = {**dataloader, 'persistent_workers': False}
        loader = Runner.build_dataloader(dataloader, seed, diff_rank_seed)
        feed(loader)
        return loader


def feed(loader: DataLoader) -> None:
    """Pin a loader's memory for a GPU, start no more workers than shared memory has room for, and give up on lost batches.

    Each worker prepares ``prefetch_factor`` batches, of the size of the first sample, and one more is in use. They may take
    half of this process's share of what is free: other loaders need some. A batch that does not fit would be lost, and the
    run would hang.
    """
    loader.pin_memory = loader.pin_memory or torch.cuda.is_available()
    if loader.num_workers and SHARED_MEMORY.is_dir():
        with seeded_draws(0):
            sample = len(pickle.dumps(loader.dataset[0]))
        batch = sample * getattr(loader.batch_sampler, 'batch_size', 1)
        free = shutil.disk_usage(SHARED_MEMORY).free // get_world_size()
        room = max(0, (free // 2 // batch - 1) // loader.prefetch_factor)
        if room < loader.num_workers:
            found = f'{SHARED_MEMORY} has {free / 1e6:.4g} MB free for each process, and a batch takes {batch / 1e6:.4g} MB'
            done = f'loading with {room} workers, not {loader.num_workers}; enlarge it (docker run --shm-size=8g)'
            print_log(f'{found}: {done}', 'current', logging.WARNING)
            loader.num_workers = room
    loader.timeout = (loader.timeout or SECONDS_FOR_A_BATCH) if loader.num_workers else 0


@HOOKS.register_module()
@dataclass(eq=False)
class PerformanceHook(Hook):
    """Make a run faster; what it computes stays the same up to rounding.

    Args:
        channels_last: Keep features with the channels innermost, which convolutions on CPUs and tensor cores prefer; with
            one process alone. 'auto': yes, except in float32 training on a CPU with AVX2 but no AVX-512, where it is slower.
        reuse_memory: On a CPU with glibc, keep freed memory for the next step instead of returning it to the system.
        prepare_weights: In tests, make batch normalisation part of the convolutions, enlarge features after their 1x1
            convolutions, and round weights for mixed precision once.
        window_batch: Windows that slide inference takes at once. 'auto': 8 on a GPU, 3 on a CPU (1 without ``reuse_memory``).
            None: mmseg's own slide inference.
        mixed_scoring: Score in mixed precision where training is in mixed precision.
        tf32: On GPUs that have it, let float32 convolutions run as TF32, as torch does by default; the record says so.
        scoring: Precision of scoring: 'fp32', 'bf16' or 'fp16'; None: 'fp32', or as ``mixed_scoring`` says.
    """

    channels_last: bool | str = 'auto'
    reuse_memory: bool = True
    prepare_weights: bool = True
    window_batch: int | str | None = 'auto'
    mixed_scoring: bool = False
    tf32: bool = True
    scoring: str | None = None
    prepared: bool = field(default=False, init=False)
    steps: int = field(default=0, init=False)

    priority = 'VERY_HIGH'  # an average of the weights is copied from the prepared model

    def before_run(self, runner: Any) -> None:
        """Prepare memory, its layout, slide inference and the precision of scoring."""
        model, on_cpu = bare_model(runner), next(runner.model.parameters()).device.type == 'cpu'
        if self.reuse_memory and on_cpu:
            reuse_freed_memory()
        torch.backends.cudnn.allow_tf32 = self.tf32
        if self.channels_last or is_training(runner):  # initial weights are drawn in the order that they have in memory
            model.to(memory_format=torch.channels_last)
        if precision_of(runner.cfg) != 'fp32':
            keep_logits_float32(model)
        windows = self.window_batch
        if windows == 'auto':
            # A CPU gains nothing from more, and is slower where memory for their features comes from the system anew.
            windows = (3 if self.reuse_memory else 1) if on_cpu else WINDOWS_AT_ONCE
        if windows is not None:
            use_window_batches(model, windows)
        if self.scoring is None:
            self.scoring = precision_of(runner.cfg) if self.mixed_scoring and is_training(runner) else 'fp32'
        score_in(model, self.scoring)
        if runner.deterministic and not on_cpu:
            use_deterministic_operators(model)

    def before_train(self, runner: Any) -> None:
        """Lay out weights and the optimizer's averages of them as training needs them.

        Weights of several processes have the strides for which torch made room for their gradients. With others it averages
        the gradients of convolutions wrongly, with no more than a warning. A fused optimizer likewise takes for granted
        that averages lie as weights do; those of a checkpoint may not.
        """
        channels_last = self.channels_last
        if channels_last == 'auto':
            slow = torch.backends.cpu.get_cpu_capability() == 'AVX2' and precision_of(runner.cfg) == 'fp32'
            channels_last = torch.cuda.is_available() or not slow
        if is_model_wrapper(runner.model) or not channels_last:
            bare_model(runner).to(memory_format=torch.contiguous_format)
        wrapper = runner.optim_wrapper
        for one in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            for parameter, averages in one.optimizer.state.items():
                for name, value in averages.items():
                    if getattr(value, 'shape', None) == parameter.shape:
                        averages[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)

    def _after_iter(self, runner: Any, *_: Any, mode: str = 'train', **__: Any) -> None:
        """Note the GPU's peak memory, before the log resets it, and say once if steps of a training wait for data."""
        if torch.cuda.is_available():
            peak_memory()
        self.steps += mode == 'train'
        scalars = runner.message_hub.log_scalars
        if mode == 'train' and self.steps == STEPS_TO_JUDGE and 'train/data_time' in scalars:
            waiting, whole = (scalars[f'train/{name}'].mean(STEPS_TO_JUDGE - 10) for name in ('data_time', 'time'))
            if waiting > MOST_WAITING * whole:
                runner.logger.warning(
                    f'data are the limit: {waiting / whole:.0%} of each step is spent waiting for them; raise '
                    f'train_dataloader.num_workers, now {runner.train_dataloader.num_workers}'
                )

    def before_test(self, runner: Any) -> None:
        """Prepare the weights, which nothing trains any more; not where an average of them is exchanged during the test."""
        averaged = any(isinstance(hook, EMAHook) for hook in runner.hooks)
        if self.prepare_weights and not averaged and not self.prepared:
            self.prepared = True
            prepare_weights(bare_model(runner), self.scoring)
