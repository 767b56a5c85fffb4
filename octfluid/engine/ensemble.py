"""The checkpoints of a test: one, or the members of an ensemble."""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from octfluid.engine.checkpoint import load_weights, read_checkpoint
from octfluid.records.origin import origin_of
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError

_SAID = {'split': 'split', 'config': 'config settings of digest', 'iterations': 'iterations:'}


def read(checkpoints: Sequence[str], cfg: Config) -> list[dict]:
    """Read checkpoints that shall be tested together.

    Args:
        checkpoints: Files as `octfluid.engine.checkpoint.read_checkpoint` takes them, at least one.
        cfg: The resolved config of all of them.

    Raises:
        InputError: One cannot be read; or of several, two are the same or of different configs, lengths or splits, or the
            config's network is not a `ScanSegmentor`.
    """
    stored = [read_checkpoint(path) for path in checkpoints]
    if len(checkpoints) == 1:
        return stored
    if cfg.model.type != 'ScanSegmentor':
        raise InputError(
            f'{len(checkpoints)} checkpoints: an ensemble needs a config with model.type ScanSegmentor, as those in '
            f'configs/duke_dme; {cfg.filename} has {cfg.model.type}'
        )
    digests = [file_sha256(path) for path in checkpoints]
    for index, digest in enumerate(digests):
        if digest in digests[:index]:
            raise InputError(
                f'{checkpoints[index]}: the same weights as {checkpoints[digests.index(digest)]}; expected each once'
            )
    origins = [origin_of(path, one, cfg.train_dataloader.dataset.type) for path, one in zip(checkpoints, stored, strict=True)]
    for what in ('split', 'config', 'iterations'):
        values = [(path, getattr(origin, what)) for path, origin in zip(checkpoints, origins, strict=True)]
        # Weights that do not say it are taken for the config's.
        said = [(path, cfg.split if what == 'split' and value is None else value) for path, value in values]
        said = [(path, value) for path, value in said if value is not None]
        for path, value in said:
            if value != said[0][1]:
                raise InputError(
                    f'{path}: trained with {_SAID[what]} {value}, but {said[0][0]} with {said[0][1]}; expected members of one '
                    'config, length and split, or scans may have been in the training of some'
                )
    return stored


def sha256(checkpoints: Sequence[str]) -> str:
    """Return the SHA-256 of a checkpoint file; of several, that of their digests, one a line, in the order of the digests."""
    digests = sorted(file_sha256(path) for path in checkpoints)
    return digests[0] if len(digests) == 1 else hashlib.sha256('\n'.join(digests).encode()).hexdigest()


def join(model: nn.Module, checkpoints: Sequence[str], stored: Sequence[Mapping[str, Any]]) -> None:
    """Make a built `ScanSegmentor` the first of an ensemble.

    Args:
        model: Changed in place; its own weights are loaded elsewhere.
        checkpoints: Names of the others' files, for errors.
        stored: Their contents.

    Raises:
        InputError: One is of another architecture.
    """
    others = []
    for path, content in zip(checkpoints, stored, strict=True):
        other = copy.deepcopy(model)
        load_weights(other, content['state_dict'], Path(path).name)
        others.append(other.eval())
    if others:
        model.join(others)


def average_mirror_images(model: nn.Module) -> None:
    """Let a model average over mirror images when it scores."""
    from octfluid.models.mirror import use_mirror  # after `octfluid.register`, which silences what mmseg says at import

    use_mirror(model)


def refuse_second_mirror(cfg: Config) -> None:
    """Refuse test-time augmentation of a network that does it by itself.

    Raises:
        InputError: ``model.mirror`` is on.
    """
    if cfg.model.get('mirror'):
        raise InputError(f'--tta: {cfg.filename} averages over mirror images already (model.mirror); drop the option')
