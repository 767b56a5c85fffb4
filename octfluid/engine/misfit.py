"""Errors that mmengine, mmseg and torch raise of settings that do not fit, as one line that names the config."""

import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

import octfluid.register  # noqa: F401  first, for it silences what mmseg says when it is imported
from octfluid.datasets.fluid_dataset import UNFIT
from octfluid.engine.out_of_memory import is_out_of_memory
from octfluid.utils.errors import InputError

FAILURES = (*UNFIT, ImportError, RuntimeError)
"""What a setting of a wrong kind or size comes to, in libraries that take what they are given."""


def reason_of(error: Exception) -> str:
    """Return an error's message; of one that PyTorch passed on from a loader worker, the worker's own without the traceback."""
    message = str(error)
    if not (message.startswith('Caught ') and '\nOriginal Traceback' in message):
        return message
    return message.rstrip().splitlines()[-1].partition(': ')[2]


def is_lost_peer(error: Exception) -> bool:
    """Tell whether the processes of a run can no longer reach each other; gloo has no class of error of its own."""
    lost = isinstance(error, torch.distributed.DistError) or 'gloo/transport' in str(error)
    return lost and torch.distributed.is_initialized()


def cause_of(error: Exception) -> str:
    """Say in one line what failed: the message, and the kind of error where the message alone would say too little."""
    reason = textwrap.shorten(reason_of(error), 300, placeholder=' ...')
    if not reason and (frames := traceback.extract_tb(error.__traceback__)):
        reason = frames[-1].line or ''  # what did not hold
        return f'{type(error).__name__} at: {reason}'
    return (
        reason if isinstance(error, (AssertionError, TypeError, ValueError)) and reason else f'{type(error).__name__}: {reason}'
    )


@contextmanager
def naming_misfits(what: str) -> Iterator[None]:
    """Make such errors of the block, but for a lack of memory, an `InputError`.

    Args:
        what: What cannot be done, with the config's name.
    """
    try:
        yield
    except FAILURES as error:
        if (
            is_out_of_memory(error) or is_lost_peer(error) or isinstance(error, ModuleNotFoundError)
        ):  # which says what to install
            raise
        raise InputError(f'{what}, {cause_of(error)}') from error


def build_network(cfg: Config) -> nn.Module:
    """Build the network of a resolved config, with random weights.

    Raises:
        InputError: Its settings do not fit each other.
    """
    from mmseg.registry import MODELS

    init_default_scope(cfg.default_scope)
    with naming_misfits(f'{cfg.filename}: model cannot be built'):
        return MODELS.build(cfg.model)
