"""Measure speed and memory: training, scoring of the validation scans, and the making of training samples.

What is compared works in turns, because other programs make seconds on a shared machine unreliable; the ratio of the seconds of
one round is what counts. "stock" is MMSegmentation's own runner on the same config without this package's speed settings.
"""

import importlib.util
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import LOOPS, init_default_scope
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS
from torch.utils.flop_counter import FlopCounterMode

import octfluid.register  # noqa: F401  registers what configs name
from octfluid.datasets.config_data import split_of
from octfluid.datasets.sampler import CountedSampler
from octfluid.engine.checkpoint import load_weights, read_checkpoint
from octfluid.engine.config import build_network, load_config
from octfluid.engine.performance import FeedingRunner, mixed_precision, use_precision
from octfluid.models.precision import DTYPES
from octfluid.records.fingerprint import ROOT, config_name
from octfluid.records.record import git_state, source_sha256
from octfluid.utils.cli import tracked
from octfluid.utils.errors import InputError, WorkError
from octfluid.utils.machine import device_name, peak_memory, versions

STOCK = 'stock'
CONTENDERS = {STOCK: dict(stock=True), 'octfluid, fp32': {}, 'octfluid, mixed precision': dict(amp=True)}
GRAPHS = 'octfluid, mixed precision, CUDA graphs'
_ENDLESS = 10**9
TRANSFORMS.register_module('StockRandomCrop', module=RandomCrop)  # this package has one of the same name

Turn = Callable[[], dict[str, float]]
"""Does the work once; returns its ``seconds`` and, in training, the seconds it ``waited`` for data."""


def benchmark_record(kind: str, config: str, options: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON content of a benchmark (``kind`` train, infer or data), without the place of the data.

    docs/run_record.md describes the fields; ``measured`` is the output of the function of that kind.
    """
    return {
        'schema': 'octfluid.benchmark/1',
        'kind': kind,
        'config': config_name(config),
        'overrides': {key: value for key, value in options.items() if not key.endswith('data_root')},
        'git': git_state(ROOT),
        'source_sha256': source_sha256(ROOT),
        'device': device_name(),
        'versions': versions(),
        **measured,
    }


_turn: Turn | None = None


def _take_turn(make: Callable[[], Turn]) -> dict[str, float]:
    """Work once, in the contender's own process; the first call prepares the work, and counts its ``operations``."""
    global _turn
    if _turn is not None:
        return _turn()
    _turn = make()
    if getattr(make, 'keywords', {}).get('graphs'):
        return _turn()
    with FlopCounterMode(display=False) as counter:
        turn = _turn()
    return turn | dict(operations=counter.get_total_flops())


def matrix_rate(dtype: torch.dtype, size: int = 8192, repeats: int = 5) -> float:
    """Measure the GPU's floating-point operations a second in products of matrices: float32 as TF32 if convolutions are."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    one, other = (torch.randn(size, size, device='cuda' if torch.cuda.is_available() else 'cpu', dtype=dtype) for _ in range(2))
    seconds = [_timed(lambda: one @ other)[0] for _ in range(repeats + 1)]
    return 2 * size**3 / statistics.median(seconds[1:])


def take_turns(contenders: Mapping[str, Callable[[], Turn]], repeats: int) -> dict[str, dict[str, Any]]:
    """Let contenders, picklable functions that prepare a turn, work in turns, each in its own process.

    The first turn of each is not measured; each of the ``repeats`` rounds begins with another one. The result holds by name
    ``turns``, in order, ``operations`` of the first, ``peak_bytes``, the most memory of its process, or of the GPU for it, and
    on a GPU `matrix_rate`. A contender that fails is an InputError or a WorkError, but `GRAPHS` is left out.
    """
    names, found = list(contenders), {name: dict(turns=[]) for name in contenders}
    with ExitStack() as stack:
        spawn = multiprocessing.get_context('spawn')
        pools = {name: stack.enter_context(ProcessPoolExecutor(1, mp_context=spawn)) for name in names}
        rounds = [names, *(names[first % len(names) :] + names[: first % len(names)] for first in range(repeats))]
        for done, name in enumerate(tracked(itertools.chain(*rounds), len(names) * len(rounds), 'turns')):
            if name not in found:
                continue
            try:
                turn = pools[name].submit(_take_turn, contenders[name]).result()
            except RuntimeError as error:  # its process ended, or a step failed
                text = f'{name}: {type(error).__name__}: {" ".join(str(error).split())[:300]}'
                if name != GRAPHS:
                    raise WorkError(text) from error
                print(f'not measured: {text}', file=sys.stderr)
                del found[name]
                continue
            if done >= len(names):
                found[name]['turns'].append(turn)
            else:
                found[name]['operations'] = turn.get('operations')
        for name, one in found.items():
            one['peak_bytes'] = pools[name].submit(peak_memory).result()
            if torch.version.cuda is not None and torch.cuda.is_available():
                mixed = getattr(contenders[name], 'keywords', {}).get('amp')
                dtype = DTYPES[mixed_precision()] if mixed else torch.float32
                one['matrix_rate'] = pools[name].submit(matrix_rate, dtype).result()
    return found


def ratios(reference: list[float], other: list[float]) -> dict[str, float]:
    """Return median, least and greatest of the ratios of paired seconds: above 1 where the other is faster."""
    paired = np.divide(reference, other).tolist()
    return dict(ratio_median=statistics.median(paired), ratio_min=min(paired), ratio_max=max(paired))


def _fields(settings: dict[str, Any], found: Mapping[str, dict[str, Any]], units: int) -> dict[str, Any]:
    seconds = {name: [turn['seconds'] for turn in one['turns']] for name, one in found.items()}
    summary = {}
    for name, one in found.items():
        waited = [turn['waited'] / turn['seconds'] for turn in one['turns'] if 'waited' in turn]
        summary[name] = ratios(seconds[STOCK], seconds[name]) | dict(per_second=units / statistics.median(seconds[name]))
        if waited:
            summary[name]['share_waiting'] = statistics.median(waited)
        if one.get('operations') and one.get('matrix_rate'):
            rate = one['operations'] / statistics.median(seconds[name])
            summary[name]['share_of_matrix_rate'] = rate / one['matrix_rate']
    settings |= dict(
        repeats=len(seconds[STOCK]), threads=torch.get_num_threads(), device=device_name(), mixed_precision=mixed_precision()
    )  # fmt: skip
    return dict(settings=settings, contenders=dict(found), summary=summary)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    result = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


@LOOPS.register_module()
class SteppedTrainLoop(IterBasedTrainLoop):
    """mmengine's training loop, some iterations at a time."""

    def run(self) -> None:
        """Do what comes before the first iteration."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')

    def step(self, iterations: int) -> float:
        """Train for some iterations; return the seconds spent waiting for data."""
        waited = 0.0
        for _ in range(iterations):
            self.runner.model.train()
            asked = time.perf_counter()
            batch = next(self.dataloader_iterator)
            waited += time.perf_counter() - asked
            self.run_iter(batch)
        return waited


def _stock_pipeline(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**step, 'type': 'StockRandomCrop'} if step['type'] == 'RandomCrop' else step for step in steps]


def stock_config(cfg: Config) -> None:
    """Remove the speed settings of this package from a config, in place: sampler, caches, crop, hooks, metric.

    Network, losses, data, what transforms compute, optimizer and schedule stay.
    """
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.window_first, loader.dataset.cache_bytes = False, 0
    cfg.train_dataloader.dataset.pipeline = _stock_pipeline(cfg.train_dataloader.dataset.pipeline)
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.optim_wrapper.optimizer.pop('fused', None)
    cfg.val_evaluator = cfg.test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice'])
    for name in ('performance', 'step_seed', 'finite'):
        cfg.default_hooks.pop(name, None)


def _same_kernels(cfg: Config) -> None:
    """Have cuDNN choose the same convolutions for every contender: stock and MONAI read no setting of ours."""
    torch.backends.cudnn.benchmark = cfg.env_cfg.get('cudnn_benchmark', False)
    torch.backends.cudnn.allow_tf32 = cfg.default_hooks.performance.get('tf32', True)


def _runner(config: str, options: Mapping[str, Any], stock: bool, amp: bool, training: bool, graphs: bool = False) -> Runner:
    """Build a Runner that starts from random weights, logs nothing, and writes nothing that outlives the process."""
    cfg = load_config(config, dict(options))
    _same_kernels(cfg)
    # mmengine would set it, with a warning: this process was spawned.
    multiprocessing.set_start_method(cfg.env_cfg.mp_cfg.mp_start_method, force=True)
    cfg.load_from, cfg.visualizer = None, dict(type='Visualizer')
    for name in ('initial_weights', 'record', 'stop', 'visualization'):
        cfg.default_hooks.pop(name, None)
    cfg.default_hooks.checkpoint = None  # one of mmengine's own, which only None removes
    cfg.train_cfg.update(type='SteppedTrainLoop', max_iters=_ENDLESS, val_interval=_ENDLESS)
    if not training:
        cfg.default_hooks.logger = None
        cfg.custom_hooks = [hook for hook in cfg.get('custom_hooks', []) if hook['type'] != 'EMAHook']
    if stock:
        stock_config(cfg)
    elif amp and training:
        use_precision(cfg, mixed_precision())
    elif amp:
        cfg.default_hooks.performance.scoring = mixed_precision()
    if graphs:
        cfg.compile = dict(mode='reduce-overhead')
    cfg.launcher, cfg.log_level, cfg.experiment_name = 'none', 'ERROR', f'benchmark_{time.time_ns()}'
    with tempfile.TemporaryDirectory(prefix='octfluid-benchmark-') as folder:
        cfg.work_dir = folder
        return (Runner if stock else FeedingRunner).from_cfg(cfg)


def training(
    config: str,
    options: Mapping[str, Any],
    iterations: int,
    *,
    stock: bool = False,
    amp: bool = False,
    graphs: bool = False,
) -> Turn:
    """Prepare turns of a number of training iterations of a config.

    ``amp`` is mixed precision, not with ``stock``; ``graphs`` compiles the step and, on a GPU, replays it as CUDA graphs.
    """
    runner = _runner(config, options, stock, amp, training=True, graphs=graphs)
    runner._val_loop = None
    runner.train()

    def turn() -> dict[str, float]:
        seconds, waited = _timed(lambda: runner.train_loop.step(iterations))
        return dict(seconds=seconds, waited=waited)

    return turn


def scoring(
    config: str, options: Mapping[str, Any], weights: str, keep: str, *, stock: bool = False, amp: bool = False
) -> Turn:
    """Prepare turns of scoring the validation scans of a config, from reading to metric.

    The first turn writes the probability of the second class of each scan, by name, to ``keep``, an ``.npz`` file.
    """
    runner = _runner(config, options, stock, amp, training=False)
    runner.model.load_state_dict(torch.load(weights, map_location='cpu', weights_only=True))
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    runner.call_hook('before_run')
    kept: dict[str, np.ndarray] = {}

    def note(_model: Any, _inputs: Any, samples: Any) -> None:
        for sample in samples:
            found = sample.get('fluid_probability')
            kept[sample.name] = (sample.seg_logits.data.float().softmax(0)[1] if found is None else found.data[0]).cpu().numpy()

    handle = runner.model.register_forward_hook(note)

    @torch.no_grad()
    def turn() -> dict[str, float]:
        seconds, _ = _timed(runner.test_loop.run)
        if not Path(keep).exists():
            handle.remove()
            np.savez(keep, **kept)
        return dict(seconds=seconds)

    return turn


def monai_training(config: str, options: Mapping[str, Any], iterations: int, *, size: tuple[int, int]) -> Turn:
    """Prepare turns of training MONAI's basic U-Net, as wide and deep as U-Net s5-d16, on noise in a plain loop in float32."""
    from monai.networks.nets import BasicUNet

    cfg = load_config(config, dict(options))
    _same_kernels(cfg)
    batch, width = cfg.train_dataloader.batch_size, cfg.model.backbone.get('base_channels', 64)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    net = BasicUNet(2, in_channels=3, out_channels=2, features=(*(width * 2**stage for stage in range(5)), width)).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 3, *size, device=device)
    labels = (torch.rand(batch, *size, device=device) > 0.99).long()

    def steps() -> None:
        for _ in range(iterations):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()

    return lambda: dict(seconds=_timed(steps)[0])


def benchmark_train(config: str, options: Mapping[str, Any], iterations: int, repeats: int) -> dict[str, Any]:
    """Measure training iterations a second: stock, this package in both precisions, MONAI's U-Net where it is installed.

    On a GPU also this package compiled, with CUDA graphs.
    """
    cfg = load_config(config, dict(options))
    contenders = CONTENDERS | ({GRAPHS: dict(amp=True, graphs=True)} if torch.cuda.is_available() else {})
    racing = {name: partial(training, config, options, iterations, **how) for name, how in contenders.items()}
    batch, backbone, dataset = cfg.train_dataloader.batch_size, cfg.model.backbone, cfg.train_dataloader.dataset
    window = next((step.crop_size for step in dataset.pipeline if 'crop_size' in step), dataset.get('scan_size'))
    if window and backbone.type == 'UNet' and backbone.get('num_stages') == 5 and importlib.util.find_spec('monai'):
        racing['MONAI BasicUNet, plain loop, fp32'] = partial(monai_training, config, options, iterations, size=tuple(window))
    settings = dict(unit='iteration', iterations=iterations, batch=batch, window=window and list(window))
    return _fields(settings, take_turns(racing, repeats), iterations)


def benchmark_infer(config: str, options: Mapping[str, Any], checkpoint: str | None, repeats: int) -> dict[str, Any]:
    """Measure how fast the validation scans are scored, and how far results differ from stock's.

    All use the weights of ``checkpoint``; None for random ones.
    """
    network = build_network(load_config(config, dict(options)))
    if checkpoint is not None:
        load_weights(network, read_checkpoint(checkpoint)['state_dict'], Path(checkpoint).name)
    with tempfile.TemporaryDirectory(prefix='octfluid-benchmark-') as folder:
        weights = f'{folder}/weights.pth'
        torch.save(network.state_dict(), weights)
        racing = {
            name: partial(scoring, config, options, weights, f'{folder}/{name}.npz', **how) for name, how in CONTENDERS.items()
        }
        found = take_turns(racing, repeats)
        kept = [dict(np.load(f'{folder}/{name}.npz')) for name in racing]
    settings = dict(unit='scan', scans=len(kept[0]), weights='random' if checkpoint is None else Path(checkpoint).name)
    fields = _fields(settings, found, len(kept[0]))
    for name, other in zip(racing, kept, strict=True):
        fields['summary'][name] |= difference(kept[0], other)
    return fields


def difference(reference: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the greatest difference in probability, the share of pixels whose masks at 0.5 differ, and the share marked."""
    one, two = (np.concatenate([found[name].ravel() for name in reference]) for found in (reference, other))
    masks = one > 0.5, two > 0.5
    return dict(
        largest_difference=float(np.abs(one - two).max()),
        mask_difference=float((masks[0] != masks[1]).mean()),
        marked=float(masks[0].mean()),
    )


def benchmark_data(config: str, options: Mapping[str, Any], samples: int, repeats: int) -> dict[str, Any]:
    """Measure how fast one thread makes training samples, with ``window_first`` (fast) and without (stock).

    Raises:
        InputError: The data are missing, or the pipeline has no RandomResize and so nothing to save.
    """
    from mmseg.registry import DATASETS

    cfg = load_config(config, dict(options))
    settings, seed = cfg.train_dataloader.dataset, cfg.randomness.seed
    if 'RandomResize' not in [step.type for step in settings.pipeline]:
        raise InputError(f'{config}: trains without RandomResize; expected a pipeline such as that of configs/hrf/pspnet.py')
    init_default_scope('mmseg')
    torch.set_num_threads(1)  # as in a loader worker
    cv2.setNumThreads(0)
    stock = DATASETS.build({**settings, 'window_first': False, 'pipeline': _stock_pipeline(settings.pipeline)})
    build_seconds, fast = _timed(lambda: DATASETS.build({**settings, 'window_first': True}))
    draws = list(itertools.islice(CountedSampler(fast, seed=seed), samples))
    levels, equal = 0, True
    for one, other in ((stock[draw], fast[draw]) for draw in draws):  # warms up, too
        levels = max(levels, int((one['inputs'].int() - other['inputs'].int()).abs().max()))
        equal = equal and torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)
    seconds: dict[str, list[float]] = dict(stock_seconds=[], fast_seconds=[])
    for _ in tracked(range(repeats), repeats, 'turns'):
        for name, dataset in (('stock', stock), ('fast', fast)):
            seconds[f'{name}_seconds'].append(_timed(lambda dataset=dataset: [dataset[draw] for draw in draws])[0])
    rate = {f'{name}_samples_per_second': samples / statistics.median(seconds[f'{name}_seconds']) for name in ('stock', 'fast')}
    return dict(
        settings=dict(samples=samples, repeats=repeats, seed=seed, split=split_of(cfg), scans=len(fast), threads=1, workers=0),
        timings=dict(build_seconds=build_seconds, **seconds),
        memory=dict(decoded_bytes=fast.pipeline.transforms[0].bytes, peak_rss_bytes=peak_memory(), pss_bytes=None),
        summary=ratios(*seconds.values()) | rate | dict(largest_difference=levels, masks_equal=equal),
    )
