"""What a run is about to do, in a few lines, and on what machine."""

import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = {
    'torch': 'torch',
    'mmseg': 'onedl-mmsegmentation',
    'mmcv': 'onedl-mmcv',
    'mmengine': 'onedl-mmengine',
    'numpy': 'numpy',
    'opencv': 'opencv-python',
    'octfluid': 'octfluid',
}


def device_name() -> str:
    """Name the device that a run uses: the GPU, or the CPU with its number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'{cpu_name()}, {torch.get_num_threads()} threads'


def cpu_name() -> str:
    """Name the CPU."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        names = [line.partition(':')[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith('model name')]
        model = names[0] if names else model
    return f'CPU, {model}'


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    return {'python': platform.python_version(), **{name: metadata.version(dist) for name, dist in PACKAGES.items()}}


def peak_memory() -> int:
    """Peak memory in bytes: what this process has allocated on a GPU, if it has used one, else the most it has held itself."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated()
    try:  # What `getrusage` says includes, on Linux, the process that started this one.
        lines = Path('/proc/self/status').read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith('VmHWM:'))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == 'darwin' else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def plan_lines(runner: Any) -> list[str]:
    """Say what a training is about to do: data, network, initial weights, schedule, device, output.

    Args:
        runner: An `octfluid.engine.runner.FluidRunner` whose weights are loaded.
    """
    cfg, init = runner.cfg, runner.state.init
    parameters = sum(parameter.numel() for parameter in runner.bare_model.parameters())
    weights = 'random' if init is None else f'{init.loaded} of {init.total} tensors from {init.name} ({init.source})'
    if runner.iter:
        weights = f'of the checkpoint at iteration {runner.iter}, begun from {weights}'
    model = cfg.model
    batch = cfg.train_dataloader.batch_size * runner.world_size
    start = f'from iteration {runner.iter} ' if runner.iter else ''
    scored = 'nothing: no scan is left to score, so that the record has no score'
    if runner.val_loop is not None:
        scored = (
            f'the weights after the last iteration, in {cfg.scoring_precision}, on {len(runner.val_dataloader.dataset)} '
            'validation scans at the size of their ground truth'
        )
    return [
        *(f'data     {line}' for line in runner.state.data_lines),
        f'network  {model.type} {model.backbone.type} {model.decode_head.type}, {parameters / 1e6:.2f} M parameters',
        f'weights  {weights}',
        f'training {start}to iteration {runner.max_iters}, batch {batch}, seed {runner.seed}, {cfg.precision}, {device_name()}',
        f'scoring  {scored}',
        f'output   {cfg.work_dir}',
    ]
