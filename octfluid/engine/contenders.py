"""What the benchmarks compare: MMSegmentation as it is ("stock"), this package, and other libraries, at the same work.

Each function makes a turn for `octfluid.engine.turns.take_turns`, in the process that will take it.
"""

import logging
import multiprocessing
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import LOOPS
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import nn

import octfluid.register  # noqa: F401  registers what configs name
from octfluid.engine.building import Request, build_runner
from octfluid.engine.config import load_config
from octfluid.engine.misfit import build_network
from octfluid.engine.turns import Turn

ENDLESS = 10**9


@LOOPS.register_module()
class SteppedTrainLoop(IterBasedTrainLoop):
    """mmengine's training loop, some iterations at a time."""

    def run(self) -> None:
        """Do what comes before the first iteration."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')

    def turn(self, iterations: int) -> dict[str, float]:
        """Train for some iterations; return their seconds, and how many of them were spent waiting for data."""
        waited = 0.0
        synchronize()
        start = time.perf_counter()
        for _ in range(iterations):
            self.runner.model.train()
            asked = time.perf_counter()
            batch = next(self.dataloader_iterator)
            waited += time.perf_counter() - asked
            self.run_iter(batch)
        synchronize()
        return dict(seconds=time.perf_counter() - start, waited=waited)


def synchronize() -> None:
    """Wait until a GPU has done what it was asked to."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def stock_config(cfg: Config) -> None:
    """Make a resolved config one that MMSegmentation runs with what it and mmengine bring, in place.

    Network, losses, transforms, optimizer and schedule stay; the data set class too, which says what is where. What goes is
    this package's sampler, cache, hooks, batches of windows, memory layout and metric.
    """
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.window_first, loader.dataset.cache_bytes = False, 0
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.optim_wrapper.optimizer.pop('fused', None)
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] == 'EMAHook']
    cfg.val_evaluator = cfg.test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])
    cfg.channels_last = cfg.reuse_memory = False
    cfg.window_batch = None


def _prepared(config: str, options: Mapping[str, Any]) -> Config:
    """Return a config that starts from random weights, logs nothing, and writes nothing that outlives the process."""
    cfg = load_config(config, options)
    # mmengine would set it, and warn that it was another one: this process has been spawned.
    multiprocessing.set_start_method(cfg.env_cfg.mp_cfg.mp_start_method, force=True)
    cfg.init, cfg.load_from = None, None
    cfg.visualizer = dict(type='Visualizer')
    cfg.default_hooks.checkpoint = None
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] != 'ProgressHook']
    cfg.train_cfg.update(type='SteppedTrainLoop', max_iters=ENDLESS, val_interval=ENDLESS)
    return cfg


def _runner(cfg: Config, config: str, stock: bool, amp: bool, training: bool) -> Runner:
    with tempfile.TemporaryDirectory(prefix='octfluid-benchmark-') as folder:
        if stock:
            stock_config(cfg)
            cfg.work_dir, cfg.launcher, cfg.log_level = folder, 'none', 'ERROR'
            cfg.experiment_name = f'stock_{time.time_ns()}'
            return Runner.from_cfg(cfg)
        runner = build_runner(cfg, Request(config, folder, {}, amp=amp), training)
    for handler in runner.logger.handlers:
        handler.setLevel(logging.ERROR)
    return runner


def training(config: str, options: Mapping[str, Any], iterations: int, *, stock: bool = False, amp: bool = False) -> Turn:
    """Train a config.

    Args:
        config: Path of the config.
        options: Overrides by dotted key.
        iterations: In one turn.
        stock: As MMSegmentation does it, else as this package does it.
        amp: In mixed precision; not with ``stock``.
    """
    from octfluid.engine.optim import enable_mixed_precision

    cfg = _prepared(config, options)
    if amp:
        enable_mixed_precision(cfg)
    runner = _runner(cfg, config, stock, amp, training=True)
    runner._val_loop = None
    runner.train()
    return lambda: runner.train_loop.turn(iterations)


def scoring(
    config: str,
    options: Mapping[str, Any],
    weights: str,
    keep: str,
    *,
    stock: bool = False,
    amp: bool = False,
) -> Turn:
    """Score a config's validation scans: read, predict, compare with the ground truth, compute the metric.

    Args:
        config: Path of the config.
        options: Overrides by dotted key.
        weights: File of a state dict, as `random_weights` writes it.
        keep: ``.npz`` file for the probability of the second class on each scan, by name, from the first turn.
        stock: As MMSegmentation does it, else as this package does it.
        amp: In mixed precision; not with ``stock``.
    """
    cfg = _prepared(config, options)
    cfg.default_hooks.logger = None
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if hook['type'] != 'EMAHook']  # the weights are an average already
    runner = _runner(cfg, config, stock, amp, training=False)
    model = runner.model
    model.load_state_dict(torch.load(weights, map_location='cpu', weights_only=True))
    if not stock:
        runner.prepare_scoring()
    loop = runner.test_loop
    keeping = _Keeping(model)
    kept = False

    def turn() -> dict[str, float]:
        nonlocal kept
        synchronize()
        start = time.perf_counter()
        with torch.no_grad():
            loop.run()
        synchronize()
        seconds = time.perf_counter() - start
        if not kept:
            keeping.write(keep)
            kept = True
        return dict(seconds=seconds)

    return turn


class _Keeping:
    """Notes the probabilities that a segmentor predicts until they are written."""

    def __init__(self, model: nn.Module) -> None:
        self.found: dict[str, np.ndarray] = {}
        self.handle = model.register_forward_hook(self._note)

    def _note(self, _model: nn.Module, _inputs: tuple, samples: Sequence[Any]) -> None:
        for sample in samples:
            if 'fluid_probability' in sample:
                probability = sample.fluid_probability.data[0]
            else:
                probability = sample.seg_logits.data.float().softmax(dim=0)[1]
            self.found[sample.name] = probability.cpu().numpy()

    def write(self, path: str) -> None:
        self.handle.remove()
        np.savez(path, **self.found)


def random_weights(config: str, options: Mapping[str, Any], path: str, checkpoint: str | None) -> str:
    """Write the weights that all contenders of `scoring` use: a checkpoint's, else random ones with seed 0.

    Raises:
        InputError: The checkpoint is missing, unsafe or of another architecture.
    """
    from mmengine.logging import MMLogger

    from octfluid.engine.checkpoint import load_weights, read_checkpoint

    cfg = load_config(config, options)
    torch.manual_seed(0)
    model = build_network(cfg)
    if checkpoint is None:
        MMLogger.get_current_instance().setLevel(logging.ERROR)
        model.init_weights()
    else:
        load_weights(model, read_checkpoint(checkpoint)['state_dict'], Path(checkpoint).name)
    torch.save(model.state_dict(), path)
    return path


def whole_scan(
    size: Sequence[int],
    config: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    peer: bool = False,
    model: str | None = None,
) -> Turn:
    """Predict one B-scan of noise that is in memory, from gray values to a mask.

    Args:
        size: (height, width) in pixels.
        config: Predict with the network of this config, random weights and MMSegmentation's slide inference in float32.
        options: Overrides of the config by dotted key.
        peer: The same network with MONAI's sliding windows, as many of the same size and overlap at once as its default.
        model: Predict with an exported model; ``''`` is the shipped one.

    Raises:
        ModuleNotFoundError: MONAI is not installed.
    """
    scan = np.random.default_rng(0).integers(0, 256, tuple(size), dtype=np.uint8)
    if model is not None:
        from octfluid.inference.model import ScanModel

        exported = ScanModel(model or None)
        return timed(lambda: exported.mask(scan[None]))
    segmentor = _segmentor(config, options)
    image = torch.from_numpy(scan).float()[None, None].expand(-1, 3, -1, -1)
    mean, deviation = (getattr(segmentor.data_preprocessor, name).view(1, -1, 1, 1) for name in ('mean', 'std'))
    test_cfg = segmentor.test_cfg

    def logits() -> torch.Tensor:
        return segmentor.inference((image - mean) / deviation, [dict(ori_shape=size, img_shape=size, pad_shape=size)])

    def peers_logits() -> torch.Tensor:
        from monai.inferers import sliding_window_inference

        window, stride = test_cfg.crop_size, test_cfg.stride
        return sliding_window_inference(
            (image - mean) / deviation, window, 4, overlap=1 - stride[0] / window[0],
            predictor=lambda windows: segmentor.encode_decode(windows, [dict(img_shape=windows.shape[2:])]),
        )  # fmt: skip

    if peer:
        import monai  # noqa: F401  so that it is missed here, before anything is measured
    return timed(lambda: (peers_logits if peer else logits)().argmax(dim=1))


def _segmentor(config: str | None, options: Mapping[str, Any] | None) -> nn.Module:
    cfg = load_config(config, options)
    torch.manual_seed(0)
    model = build_network(cfg).eval()
    return model.cuda() if torch.cuda.is_available() else model


def timed(work: Any) -> Turn:
    """Make a turn of something that is called without arguments and without gradients."""

    def turn() -> dict[str, float]:
        synchronize()
        start = time.perf_counter()
        with torch.no_grad():
            work()
        synchronize()
        return dict(seconds=time.perf_counter() - start)

    return turn
