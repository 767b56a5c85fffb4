"""Which run records may speak for an exported model: those of its own configuration, trained on a part of the scans."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

import octfluid
from octfluid.engine.config import load_config
from octfluid.records.fingerprint import config_sha256
from octfluid.records.origin import Origin
from octfluid.records.record import result_changing_overrides
from octfluid.utils.errors import InputError

_ROOT = Path(octfluid.__file__).resolve().parents[1]
_SAME = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg', 'custom_hooks')


def require_twins(cfg: Config, records: Iterable[tuple[Path, Mapping[str, Any]]], told: Origin | None = None) -> None:
    """Check that records are of networks that were made as a config makes them; what they were scored on may differ.

    Args:
        cfg: The resolved config of the exported network.
        records: (path, record) from `octfluid.records.record.read_records`.
        told: What the exported weights say of their training.

    Raises:
        InputError: A record's config is not there, has changed since, or makes another network; or the weights were trained
            for another number of iterations, or with settings that the config lacks.
    """
    known: dict[tuple[str, str], Config] = {}
    told = told or Origin()
    changed = [name for name in result_changing_overrides(told.overrides) if name != 'train_cfg.max_iters']
    for path, record in records:
        key = record['config'], record['split']
        if key not in known:
            known[key] = load_config(_ROOT / record['config'], split=record['split'])
        other = known[key]
        if config_sha256(other) != record['config_sha256']:
            raise InputError(
                f'{path}: {record["config"]} has been changed since, or was overridden; expected records of the config as it is'
            )
        pipelines = [one.train_dataloader.dataset.pipeline for one in (cfg, other)]
        different = [name for name in _SAME if cfg.get(name) != other.get(name)]
        if different or pipelines[0] != pipelines[1]:
            raise InputError(
                f'{path}: is of {record["config"]}, which differs from {cfg.filename} in '
                f'{", ".join(different) or "train_dataloader"}; expected records of the exported configuration'
            )
        if told.iterations not in (None, record['iterations']) or changed:
            trained = f'with {", ".join(changed)} overridden' if changed else f'for {told.iterations} iterations'
            raise InputError(
                f'{path}: is of a network trained for {record["iterations"]} iterations, but the exported one was trained '
                f'{trained}; expected records of networks trained as long, with the same settings'
            )
