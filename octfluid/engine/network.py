"""A config and its checkpoint in the place of an exported model: any segmentor, with its own test pipeline, on any scan."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmseg.registry import DATASETS, HOOKS
from torch import nn

import octfluid
from octfluid.datasets.config_data import classes_of, dataset_type, inner_datasets
from octfluid.datasets.fluid_dataset import FluidDataset
from octfluid.engine.checkpoint import load_weights, read_checkpoint
from octfluid.engine.config import build_network, load_config
from octfluid.inference.model import ModelInfo
from octfluid.records.fingerprint import config_name, config_sha256
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError, WorkError, message_of


def load_segmentor(cfg: Config, checkpoint: str | os.PathLike) -> nn.Module:
    """Return the trained segmentor of a config, in evaluation; InputError as `read_checkpoint` and `load_weights`."""
    network = build_network(cfg).eval()
    load_weights(network, read_checkpoint(checkpoint)['state_dict'], Path(checkpoint).name)
    return network


def pipeline_of(cfg: Config) -> list[dict[str, Any]]:
    """Return the steps of a config's test pipeline; InputError without one."""
    datasets = inner_datasets((cfg.get('test_dataloader') or {}).get('dataset'))
    if not (steps := datasets and datasets[0].get('pipeline')):
        raise InputError(f'{cfg.filename}: no test_dataloader with a pipeline; expected what scans go through before scoring')
    return [step for step in steps if step['type'] != 'IgnoreUngradedColumns']  # it changes the mask alone


def threshold_of(network: nn.Module) -> float:
    """Return the probability of fluid above which a segmentor calls a pixel fluid."""
    head = getattr(network, 'decode_head', None)
    head = head[-1] if isinstance(head, nn.ModuleList) else head
    return getattr(network, 'threshold', head.threshold if getattr(head, 'out_channels', 2) == 1 else 0.5)  # 1: a sigmoid


def info_of(cfg: Config, checkpoint: str | os.PathLike, threshold: float, scores: Sequence[dict] = ()) -> ModelInfo:
    """Return what a model file says of a trained config; several classes of fluid become one."""
    background, *fluids = classes_of(cfg)
    data = DATASETS.get(dataset_type(cfg.get('train_dataloader') or cfg.test_dataloader))
    data = data if data and issubclass(data, FluidDataset) else FluidDataset
    return ModelInfo(
        version=octfluid.__version__, classes=(background, '+'.join(fluids)), threshold=threshold, domain=dict(data.DOMAIN),
        weights_sha256=file_sha256(checkpoint), scores=list(scores), licence=data.LICENCE,
    )  # fmt: skip


class NetworkModel:
    """A trained segmentor of MMSegmentation, applied as `tools/test.py` does; a `Predictor` takes it for a `ScanModel`.

    Args:
        config: The config that it was trained with; what it names runs as Python.
        checkpoint: Its weights, read as by `octfluid.engine.checkpoint.read_checkpoint`.
        options: Settings by dotted key, as for `octfluid.engine.config.load_config`.

    Attributes:
        info: What a model file made of it would say.

    Raises:
        InputError: The config cannot be built or has no test pipeline, or the weights are damaged or of another network.

    Example:
        >>> Predictor(NetworkModel('configs/table2/10_crop320_wd1e-4.py', 'iter_400.pth')).predict('scan.png')
    """

    def __init__(self, config: str | os.PathLike, checkpoint: str | os.PathLike, options: dict[str, Any] | None = None) -> None:
        cfg = load_config(config, options)
        self.path, self.config, steps = Path(checkpoint), cfg.filename, pipeline_of(cfg)
        self.network = load_segmentor(cfg, checkpoint).to(get_device())
        self.network.cfg = Config(dict(test_pipeline=steps))  # for mmseg's API
        self.info = info_of(cfg, checkpoint, threshold_of(self.network))
        if performance := (cfg.get('default_hooks') or {}).get('performance'):
            hook = HOOKS.build(performance)  # the same preparation, for the same rounding
            runner = SimpleNamespace(model=self.network, cfg=cfg, hooks=[], deterministic=False, _train_loop=None)
            hook.before_run(runner)
            hook.before_test(runner)
        self.provenance = dict(config=config_name(config), config_sha256=config_sha256(cfg), torch=torch.__version__)

    def stream(self, scans: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the probability of fluid, float32 (H, W), of one scan (H, W) of gray values 0..255 after the other.

        It is above the threshold exactly where the segmentor itself says fluid. Of several classes of fluid it is that of the
        likeliest, against background alone.

        Raises:
            WorkError: A step of the pipeline or the network fails, as when memory runs out.
        """
        for scan in scans:
            try:
                found, marked = self._applied(np.rint(scan).astype(np.uint8))
            except Exception as error:  # whatever the config names may raise anything
                raise WorkError(f'{self.config}: {type(error).__name__}: {message_of(error)}') from error
            limit = np.float32(self.info.threshold)
            yield np.where(marked, np.maximum(found, np.nextafter(limit, np.float32(1))), np.minimum(found, limit))

    def _applied(self, scan: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from mmseg.apis import inference_model  # not before `octfluid.register` has silenced what it says

        with tempfile.TemporaryDirectory() as folder:  # a pipeline begins with a file
            path = os.path.join(folder, 'scan.png')
            cv2.imwrite(path, scan)
            sample = inference_model(self.network, path)
        if 'fluid_probability' in sample:
            probability = sample.fluid_probability.data[0]
        elif len(scores := sample.seg_logits.data.float()) == 1:
            probability = scores[0]  # MMSegmentation has applied the sigmoid
        else:
            probability = (scores[1:].amax(0) - scores[0]).sigmoid()
        if probability.shape != scan.shape:
            raise ValueError(f'{tuple(probability.shape)} pixels come of a scan of {scan.shape}; expected as many')
        return probability.cpu().numpy(), sample.pred_sem_seg.data[0].cpu().numpy() > 0
