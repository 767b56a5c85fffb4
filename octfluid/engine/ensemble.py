"""Test-time averaging: several checkpoints, and mirror images."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from octfluid.engine.checkpoint import fetch, load_weights, read_checkpoint
from octfluid.engine.hooks import bare_model
from octfluid.models.segmentor import use_mirror
from octfluid.records.record import file_sha256
from octfluid.utils.errors import InputError


@HOOKS.register_module()
class EnsembleHook(Hook):
    """In a test, average the probabilities of several checkpoints, or of each scan and its mirror image.

    Args:
        checkpoints: Members of the ensemble other than the one that the Runner loads; its network must be a `ScanSegmentor`.
        mirror: Average over mirror images.
    """

    priority = 'HIGHEST'  # before weights are prepared for speed

    def __init__(self, checkpoints: Sequence[str] = (), mirror: bool = False) -> None:
        self.checkpoints = tuple(checkpoints)
        self.mirror = mirror

    def before_test(self, runner: Any) -> None:
        """Load the other members; raise an InputError for one of another architecture."""
        model = bare_model(runner)
        others = [copy.deepcopy(model) for _ in self.checkpoints]
        for path, other in zip(self.checkpoints, others, strict=True):
            load_weights(other.eval(), read_checkpoint(path)['state_dict'], Path(path).name)
        if others:
            model.join(others)
        if self.mirror:
            use_mirror(model)


def check_members(checkpoints: Sequence[str], cfg: Config) -> None:
    """Refuse (InputError) checkpoints that cannot be scored together.

    Members that differ in config, length or split may have been trained on scans that others are tested on.
    """
    if cfg.model.type != 'ScanSegmentor':
        raise InputError(
            f'{len(checkpoints)} checkpoints: an ensemble needs a ScanSegmentor; {cfg.filename} has {cfg.model.type}'
        )
    digests, told = {}, {}
    for index, path in enumerate(checkpoints):
        if (other := digests.setdefault(file_sha256(fetch(path)), index)) != index:
            raise InputError(f'{path}: the same weights as {checkpoints[other]}; expected each once')
        content = read_checkpoint(path)
        settings = (content.get('run') or {}).get('settings', {})
        mine = dict(split=settings.get('split'), config=settings.get('config'), iterations=content.get('meta', {}).get('iter'))
        for key, value in mine.items():
            first = told.setdefault(key, (value, path))
            if value != first[0]:
                raise InputError(
                    f'{path}: trained with {key} {value}, but {first[1]} with {first[0]}; expected members of one config, '
                    'length and split, or scans may have been in the training of some'
                )
