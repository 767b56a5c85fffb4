"""Predictions of several networks on the same scans, for pictures that show them side by side."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from octfluid.datasets.integrity import SUFFIX, check_mask
from octfluid.datasets.splits import read_split
from octfluid.engine.checkpoint import read_checkpoint
from octfluid.engine.config import dataset_spec, load_config
from octfluid.engine.training import Request, test
from octfluid.utils.errors import InputError


@dataclass(frozen=True)
class Network:
    """A network to compare.

    Attributes:
        name: What its panels are called.
        config: Config file.
        checkpoint: Its weights, a file as `octfluid.engine.checkpoint.read_checkpoint` takes it.
    """

    name: str
    config: str
    checkpoint: str


@dataclass(frozen=True)
class Compared:
    """One scan with what every network finds in it.

    Attributes:
        scan: uint8 (H, W).
        truth: Mask of 0 and 1, uint8 (H, W).
        predictions: Mask of 0 and 1, uint8 (H, W), by network name, in the order of the networks.
    """

    scan: np.ndarray
    truth: np.ndarray
    predictions: dict[str, np.ndarray]


@HOOKS.register_module()
class KeepPredictionHook(Hook):
    """Keep each tested scan, its ground truth and what was predicted, at the ground truth's size, as ``<name>.npz``.

    Args:
        out_dir: An existing folder.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: list | None = None) -> None:
        """Write one file a scan of the batch."""
        for sample in outputs:
            masks = {
                'prediction': sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8),
                'truth': sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8),
            }
            scan = cv2.imread(sample.img_path, cv2.IMREAD_GRAYSCALE)
            np.savez(self.out_dir / f'{sample.name}.npz', scan=scan, **masks)


def compare(
    networks: Sequence[Network], scans: Sequence[str] = (), split: str | None = None, amp: bool = False
) -> dict[str, Compared]:
    """Predict scans with every network, each through its own config's test pipeline, as ``tools/test.py`` does.

    Args:
        networks: At least one, with different names.
        scans: Names of validation scans of the split; by default the one that holds most fluid.
        split: Name of the split, or ``all``; by default each config's own.
        amp: Predict in mixed precision.

    Returns:
        Scans in the order given, by name.

    Raises:
        InputError: Two networks of one name, a config, checkpoint or data set that cannot be used, a scan that is not among
            the validation scans, or networks whose scans differ in size. Configs, checkpoints' files and scans are checked
            before the first prediction.
    """
    names = [network.name for network in networks]
    if double := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two networks are called '{double[0]}'; expected a name of its own for each")
    configs = [load_config(network.config, split=split) for network in networks]
    scans = list(dict.fromkeys(scans)) or [_fullest(configs[0])]
    for network, cfg in zip(networks, configs, strict=True):
        _positions(cfg, scans)
        read_checkpoint(network.checkpoint)
    found: dict[str, Compared] = {}
    for network, cfg in zip(networks, configs, strict=True):
        for name, (scan, truth, prediction) in _predict(network, cfg, scans, amp).items():
            compared = found.setdefault(name, Compared(scan, truth, {}))
            if not (np.array_equal(compared.scan, scan) and np.array_equal(compared.truth, truth)):
                raise InputError(
                    f"{name}: '{networks[0].name}' is scored on a scan of {_size(compared.truth)}, '{network.name}' on one of "
                    f'{_size(truth)} or with other pixels; expected configs that score the same images'
                )
            compared.predictions[network.name] = prediction
    return found


def _size(mask: np.ndarray) -> str:
    return f'{mask.shape[0]}x{mask.shape[1]}'


def _scored(cfg: Config) -> list[str]:
    """Return the names of the scans that testing this config scores, in the data set's order."""
    return read_split(cfg.data_root, cfg.split, 'train' if cfg.split == 'all' else 'val')


def _positions(cfg: Config, scans: Sequence[str]) -> list[int]:
    scored = _scored(cfg)
    for name in scans:
        if name not in scored:
            raise InputError(
                f"scan '{name}' is not among the {len(scored)} that split '{cfg.split}' is scored on ({scored[0]}, ...), so a "
                'network may have been trained on it; choose one of those, or another --split'
            )
    return [scored.index(name) for name in scans]


def _fullest(cfg: Config) -> str:
    """Return the name of the scored scan with most foreground; of equals the first."""
    spec = dataset_spec(cfg)
    masks = Path(spec.root) / spec.truth_dir / 'annotations'
    counts = {}
    for name in _scored(cfg):
        stats, problems = check_mask(masks / f'{name}{SUFFIX}', None, len(spec.classes), spec.ignore_index)
        if problems:
            raise InputError(problems[0])
        counts[name] = stats.foreground
    return max(counts, key=counts.__getitem__)


def _predict(
    network: Network, cfg: Config, scans: Sequence[str], amp: bool
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return (scan, truth, prediction) by name, from a test of these scans alone whose record is thrown away."""
    cfg.test_dataloader.dataset.indices = _positions(cfg, scans)
    # Workers would take longer to start than the few scans to load.
    cfg.test_dataloader.num_workers = 0
    cfg.test_dataloader.persistent_workers = False
    with tempfile.TemporaryDirectory(prefix='octfluid-compare-') as folder:
        kept = Path(folder, 'kept')
        kept.mkdir()
        cfg.custom_hooks.append(dict(type='KeepPredictionHook', out_dir=str(kept)))
        test(cfg, Request(network.config, str(Path(folder, 'test')), {}, amp=amp), network.checkpoint)
        found = {}
        for name in scans:
            with np.load(kept / f'{name}.npz') as arrays:
                found[name] = (arrays['scan'], arrays['truth'], arrays['prediction'])
    return found
