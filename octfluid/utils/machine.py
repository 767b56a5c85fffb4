"""The machine and the software that a run uses."""

import ctypes
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = dict(
    torch='torch', mmseg='onedl-mmsegmentation', mmcv='onedl-mmcv', mmengine='onedl-mmengine', numpy='numpy',
    opencv='opencv-python', octfluid='octfluid',
)  # fmt: skip


def device_name() -> str:
    """Name the device that a run uses: the GPU, or the CPU with its number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'CPU, {names[0] if names else platform.processor() or platform.machine()}, {torch.get_num_threads()} threads'


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    return {'python': platform.python_version(), **{name: metadata.version(dist) for name, dist in PACKAGES.items()}}


def uses_tf32() -> bool:
    """Whether float32 convolutions run as TF32 on the GPU: torch's default from compute capability 8.0 on."""
    on_card = torch.cuda.is_available() and torch.version.cuda is not None
    return on_card and torch.cuda.get_device_capability() >= (8, 0) and torch.backends.cudnn.allow_tf32


_peak = 0


def peak_memory() -> int:
    """Peak memory of this process in bytes: on a GPU, if it has used one, else resident.

    mmengine resets the GPU's own peak with every line of its log, so this is the maximum of all calls.
    """
    global _peak
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        _peak = max(_peak, torch.cuda.max_memory_allocated())
        return _peak
    status = Path('/proc/self/status')
    if status.is_file():  # what `getrusage` says includes, on Linux, the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith('VmHWM:'))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER_TRIM = 2**31 - 1


def reuse_freed_memory() -> bool:
    """Have glibc keep what this process frees, large blocks too, for what it allocates next; return whether it does.

    By default it gives large blocks back to the system, and each step of a network on a CPU has all its features mapped and
    cleared anew, page by page. The process afterwards never holds less than the most it has held.
    """
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None) if sys.platform.startswith('linux') else None
    options = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER_TRIM))
    return set_option is not None and all(set_option(option, value) == 1 for option, value in options)
