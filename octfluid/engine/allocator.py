"""Memory that a training step gives back is kept for the next one, rather than taken from the system anew."""

import ctypes
import sys

# Parameters of glibc's mallopt, from its malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_NEVER_TRIM = 2**31 - 1


def reuse_freed_memory() -> bool:
    """Have the C library keep what this process frees, large blocks too, for what it allocates next.

    By default glibc takes every block above some megabytes from the system and gives it back when it is freed, so that each
    step of a network on a CPU has all its features mapped and cleared anew, page by page. The process afterwards never holds
    less than the most it has held (and what is lost between blocks). It cannot be undone, and says nothing about a GPU.

    Returns:
        Whether it could be done: the C library is glibc.
    """
    if not sys.platform.startswith('linux'):
        return False
    set_option = getattr(ctypes.CDLL(None), 'mallopt', None)
    return set_option is not None and all(
        set_option(option, value) == 1 for option, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER_TRIM))
    )
