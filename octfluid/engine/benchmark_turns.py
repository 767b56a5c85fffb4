"""Benchmarks of training and prediction against MMSegmentation as it is and against other libraries, taken by turns."""

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from octfluid.datasets.sampler import SampleDraw
from octfluid.engine import contenders, peers
from octfluid.engine.complexity import network_cost
from octfluid.engine.config import load_config
from octfluid.engine.misfit import naming_misfits
from octfluid.engine.optim import mixed_precision
from octfluid.engine.plan import device_name
from octfluid.engine.turns import Measured, Turn, ratios, take_turns
from octfluid.inference.model import ScanModel

Progress = Callable[[int, int], None]
STOCK = 'stock'
# What makes a training fast, as overrides that turn it off.
OFF = {
    'cache': {'train_dataloader.dataset.cache_bytes': 0},
    'fused optimizer': {'optim_wrapper.optimizer.fused': False},
    'memory kept': {'reuse_memory': False},
    'channels last': {'channels_last': False},
}
SCAN = (496, 768)
AT_ONCE = 3
"""Contenders beside stock whose processes live at the same time."""


def benchmark_train(
    config: str, options: Mapping[str, Any], iterations: int, repeats: int, each: bool, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure the training iterations a second of a config.

    Args:
        config: Path of the config; its training must cut windows of one size.
        options: Overrides by dotted key.
        iterations: In a turn, at least 1.
        repeats: Turns of each contender, at least 1.
        each: Also measure what makes it fast one at a time, and each left out.
        progress: As in `octfluid.engine.turns.take_turns`.

    Returns:
        The fields ``settings``, ``contenders``, ``rates``, ``summary`` of a benchmark.

    Raises:
        InputError, WorkError: As `octfluid.engine.turns.take_turns`.
    """
    cfg = load_config(config, options)
    window, batch = _window_of_training(cfg), cfg.train_dataloader.batch_size
    of = partial(partial, contenders.training, config, iterations=iterations)
    racing = {
        STOCK: of(options, stock=True),
        'octfluid, fp32': of(options),
        'octfluid, mixed precision': of(options, amp=True),
    }
    if each:
        everything = {key: value for off in OFF.values() for key, value in off.items()}
        racing['all off'] = of({**options, **everything})
        racing['mixed precision alone'] = of({**options, **everything}, amp=True)
        for name, off in OFF.items():
            alone = {key: value for key, value in everything.items() if key not in off}
            racing[f'{name} alone'] = of({**options, **alone})
            racing[f'without {name}'] = of({**options, **off}, amp=True)
    backbone = cfg.model.backbone
    if importlib.util.find_spec('monai') and (backbone.type, backbone.get('base_channels', 64)) == ('UNet', 64):
        racing['MONAI BasicUNet, plain loop, fp32'] = partial(peers.plain_loop, batch, window, iterations)
    found, references = _in_heats(racing, repeats, progress)
    forward, _ = network_cost(cfg, window)
    work = 3 * 2 * forward.operations * batch * iterations  # a backward pass is two forward passes; two operations each
    settings = dict(
        unit='iteration',
        iterations=iterations,
        batch=batch,
        window=list(window),
        workers=cfg.train_dataloader.num_workers,
    )
    works = {name: work for name in found if not name.startswith('MONAI')}
    return _fields(settings, found, iterations, works, references)


def benchmark_infer(
    config: str, options: Mapping[str, Any], checkpoint: str | None, repeats: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure how fast a config's validation scans are scored, and compare the results.

    Args:
        config: Path of the config.
        options: Overrides by dotted key.
        checkpoint: Weights for all contenders; None for random ones.
        repeats: Turns of each contender, at least 1.
        progress: As in `octfluid.engine.turns.take_turns`.

    Returns:
        As `benchmark_train`; ``summary`` also says by how much results differ from stock's.

    Raises:
        InputError, WorkError: As `octfluid.engine.turns.take_turns`; the checkpoint is missing or does not fit.
    """
    cfg = load_config(config, options)
    with tempfile.TemporaryDirectory(prefix='octfluid-benchmark-') as folder:
        weights = contenders.random_weights(config, options, f'{folder}/weights.pth', checkpoint)
        of = partial(partial, contenders.scoring, config, options, weights)
        racing = {
            STOCK: of(f'{folder}/0.npz', stock=True),
            'octfluid, fp32': of(f'{folder}/1.npz'),
            'octfluid, mixed precision': of(f'{folder}/2.npz', amp=True),
        }
        found = take_turns(racing, repeats, progress)
        kept = [dict(np.load(path)) for path in sorted(Path(folder).glob('*.npz'))]
    differences = {name: _difference(kept[0], other) for name, other in zip(racing, kept, strict=True)}
    _, scan = network_cost(cfg)
    scans = len(kept[0])
    settings = dict(unit='scan', scans=scans, weights='random' if checkpoint is None else Path(checkpoint).name)
    fields = _fields(settings, found, scans, dict.fromkeys(racing, 2 * scan.operations * scans))
    for name, difference in differences.items():
        fields['summary'][name].update(difference)
    return fields


def benchmark_scan(
    config: str, options: Mapping[str, Any], model: str, repeats: int, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure how fast one B-scan of 496x768 pixels is segmented, by a config's network in MMSegmentation, and exported.

    Args:
        config: Path of the config.
        options: Overrides by dotted key.
        model: Path of the exported model, ``''`` for the shipped one.
        repeats: Turns of each contender, at least 1.
        progress: As in `octfluid.engine.turns.take_turns`.

    Returns:
        As `benchmark_train`.

    Raises:
        InputError, WorkError: As `octfluid.engine.turns.take_turns`; there is no such model.
    """
    ScanModel(model or None)
    name = f'another network: {Path(model).name or "octfluid-compact.onnx"}, ONNX Runtime'
    racing = {
        STOCK: partial(contenders.whole_scan, SCAN, config, options),
        name: partial(contenders.whole_scan, SCAN, model=model),
    }
    if importlib.util.find_spec('monai'):
        racing["MONAI's sliding windows, the network of stock"] = partial(
            contenders.whole_scan, SCAN, config, options, peer=True
        )
    found = take_turns(racing, repeats, progress)
    return _fields(dict(unit='scan', size=list(SCAN)), found, 1, {})


def _in_heats(
    racing: Mapping[str, Callable[[], Turn]], repeats: int, progress: Progress | None
) -> tuple[dict[str, Measured], dict[str, Sequence[float]]]:
    """Let stock take turns with a few others at a time: the processes of all together would need more memory than there is.

    Returns:
        What each did, stock of later heats under a name of its own; and by name the seconds of stock in the same heat.
    """
    others = [name for name in racing if name != STOCK]
    heats = [others[first : first + AT_ONCE] for first in range(0, len(others), AT_ONCE)]
    total = (len(others) + len(heats)) * (repeats + 1)
    found, references, before = {}, {}, 0
    for number, names in enumerate(heats, start=1):
        heat = {name: racing[name] for name in (STOCK, *names)}

        def report(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, total)

        measured = take_turns(heat, repeats, report)
        before += len(heat) * (repeats + 1)
        if number > 1:
            measured = {f'{STOCK}, heat {number}' if name == STOCK else name: one for name, one in measured.items()}
        found |= measured
        references |= dict.fromkeys(measured, next(iter(measured.values())).seconds())
    return found, references


def _fields(
    settings: dict,
    found: Mapping[str, Measured],
    units: int,
    work: Mapping[str, float],
    references: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, Any]:
    """Put together what all these benchmarks say; ``work`` is in floating-point operations a turn.

    ``references`` are the seconds that each is compared with, those of stock if not given.
    """
    rates = {precision: matrix_rate(dtype) for precision, dtype in (('fp32', torch.float32), ('16 bits', torch.bfloat16))}
    reference = found[STOCK].seconds()
    references = references or dict.fromkeys(found, reference)
    summary = {}
    for name, measured in found.items():
        middle = statistics.median(measured.seconds())
        share = None
        if name in work:
            half = 'mixed' in name or name.startswith('without')  # in 16 bits, by the name of the contender
            share = work[name] / middle / rates['16 bits' if half else 'fp32']
        waited = [turn['waited'] / turn['seconds'] for turn in measured.turns if 'waited' in turn]
        summary[name] = dict(
            **ratios(references[name], measured.seconds()),
            per_second=units / middle,
            share_of_matrix_rate=share,
            share_waiting=statistics.median(waited) if waited else None,
        )
    racing = {name: dict(turns=measured.turns, peak_bytes=measured.peak_bytes) for name, measured in found.items()}
    settings = dict(
        **settings,
        repeats=len(reference),
        threads=torch.get_num_threads(),
        device=device_name(),
        mixed_precision=mixed_precision(),
    )
    return dict(settings=settings, contenders=racing, rates=rates, summary=summary)


def _difference(reference: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return the greatest difference in probability, the share of pixels whose mask at 0.5 differs, and that of those marked.

    Masks of a network that marks nothing are equal whatever is done to them.
    """
    pixels = sum(one.size for one in reference.values())
    differing = sum(int(np.count_nonzero((one > 0.5) != (other[name] > 0.5))) for name, one in reference.items())
    greatest = max(float(np.abs(one - other[name]).max()) for name, one in reference.items())
    marked = sum(int(np.count_nonzero(one > 0.5)) for one in reference.values())
    return dict(largest_difference=greatest, mask_difference=differing / pixels, marked=marked / pixels)


def _window_of_training(cfg: Config) -> tuple[int, int]:
    """Return (height, width) of a training image, in pixels."""
    from mmseg.registry import DATASETS

    init_default_scope(cfg.default_scope)
    with naming_misfits(f'{cfg.filename}: no training sample can be made'):
        dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'cache_bytes': 0, 'window_first': False})
        return tuple(dataset[SampleDraw(0, 0)]['inputs'].shape[1:])


def matrix_rate(dtype: torch.dtype, size: int = 2048, repeats: int = 5) -> float:
    """Measure how fast this machine multiplies square matrices, in floating-point operations a second: the median."""
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(repeats + 1):
        contenders.synchronize()
        start = time.perf_counter()
        one @ other
        contenders.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / statistics.median(seconds[1:])
