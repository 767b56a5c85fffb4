"""Measurements of speed and memory, kept as JSON files of their own schema (described in docs/run_record.md).

On a machine with other work to do, seconds say little: what is compared is measured by turns, and the ratio of each pair is
what counts.
"""

import itertools
import multiprocessing
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader, Dataset

import octfluid
import octfluid.register
from octfluid.datasets.fluid_dataset import seeded_draws
from octfluid.datasets.sampler import CountedSampler, SampleDraw
from octfluid.datasets.windows import HEAD
from octfluid.engine.plan import cpu_name, versions
from octfluid.records.fingerprint import config_name
from octfluid.records.record import git_state, source_sha256
from octfluid.reporting.benchmarks import SCHEMA
from octfluid.utils.errors import InputError

ROOT = Path(octfluid.__file__).resolve().parents[1]


def benchmark_record(kind: str, config: str, overrides: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return a benchmark's JSON content: what was measured, and on what.

    Args:
        kind: What is measured, such as ``'data'``.
        config: The config file as given.
        overrides: ``--cfg-options`` by dotted key.
        measured: Fields of that kind.
    """
    return dict(
        schema=SCHEMA,
        kind=kind,
        config=config_name(config),
        overrides={key: value for key, value in overrides.items() if key != 'data_root'},
        git=git_state(ROOT),
        source_sha256=source_sha256(ROOT),
        device=cpu_name(),  # what makes samples, on a machine with a GPU too
        versions=versions(),
        **measured,
    )


def benchmark_data(
    cfg: Config, samples: int, repeats: int, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Measure how fast one loader process makes training samples, with ``window_first`` (fast) and without (stock).

    Both make the same samples, each the whole of its pipeline, by turns in this process and on one thread, as a worker does.

    Args:
        cfg: A resolved config.
        samples: Samples in a repetition, at least 1.
        repeats: Repetitions, at least 1.
        progress: Called with (repetitions done, repetitions in all).

    Returns:
        The fields ``settings``, ``timings``, ``memory``, ``summary`` of a benchmark.

    Raises:
        InputError: The data are missing, or the config's training resizes whole images without a random scale, so that there
            is nothing to compare.
    """
    init_default_scope('mmseg')
    loader, seed = cfg.train_dataloader, cfg.randomness.seed
    steps = [step.type for step in loader.dataset.pipeline[: len(HEAD)]]
    if steps != [step.__name__ for step in HEAD]:
        raise InputError(
            f'{cfg.filename}: trains with {", ".join(steps)}; expected a pipeline that begins with '
            f'{", ".join(step.__name__ for step in HEAD)}, such as that of configs/hrf/pspnet.py'
        )
    workers = max(1, loader.get('num_workers', 0))
    with _one_thread():
        stock, _ = _build(loader.dataset, window_first=False)
        fast, build_seconds = _build(loader.dataset, window_first=True)
        draws = list(itertools.islice(CountedSampler(fast, seed=seed), samples))
        difference, masks_equal = _compare(stock, fast, draws)
        timings = dict(build_seconds=build_seconds, **_by_turns(stock, fast, draws, repeats, progress))
        timings['stages'] = dict(stock=_stages(stock, draws), fast=_stages(fast, draws))
        memory = dict(
            decoded_bytes=fast.pipeline.transforms[0].bytes,
            peak_rss_bytes=_peak_rss(),
            pss_bytes=_memory_with_workers(fast, workers, loader.batch_size, seed),
        )
    return dict(
        settings=dict(
            samples=samples, repeats=repeats, seed=seed, split=cfg.split, scans=len(fast), threads=1, workers=workers
        ),
        timings=timings,
        memory=memory,
        summary=dict(**_summary(timings, samples), largest_difference=difference, masks_equal=masks_equal),
    )


def _build(settings: Mapping[str, Any], window_first: bool) -> tuple[Any, float]:
    """Return a dataset and the seconds that it took to build it."""
    from mmseg.registry import DATASETS

    start = time.perf_counter()
    dataset = DATASETS.build({**settings, 'window_first': window_first})
    return dataset, time.perf_counter() - start


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread, as loader workers do."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _compare(stock: Dataset, fast: Dataset, draws: Sequence[SampleDraw]) -> tuple[int, bool]:
    """Return by how many gray levels the images of both differ at most, and whether the masks are equal. Warms up, too."""
    difference, equal = 0, True
    for draw in draws:
        one, other = stock[draw], fast[draw]
        difference = max(difference, int((one['inputs'].int() - other['inputs'].int()).abs().max()))
        equal = equal and torch.equal(one['data_samples'].gt_sem_seg.data, other['data_samples'].gt_sem_seg.data)
    return difference, equal


def _by_turns(
    stock: Dataset,
    fast: Dataset,
    draws: Sequence[SampleDraw],
    repeats: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, list[float]]:
    """Return the seconds of every repetition."""
    seconds: dict[str, list[float]] = dict(stock_seconds=[], fast_seconds=[])
    for done in range(1, repeats + 1):
        seconds['stock_seconds'].append(_seconds(stock, draws))
        seconds['fast_seconds'].append(_seconds(fast, draws))
        if progress is not None:
            progress(done, repeats)
    return seconds


def _seconds(dataset: Dataset, draws: Sequence[SampleDraw]) -> float:
    start = time.perf_counter()
    for draw in draws:
        dataset[draw]
    return time.perf_counter() - start


def _stages(dataset: Any, draws: Sequence[SampleDraw]) -> dict[str, float]:
    """Return the mean seconds a sample by transform."""
    spent: dict[str, float] = {}
    for draw in draws:
        with seeded_draws(draw.seed):
            sample = dataset.get_data_info(draw.index)
            for step in dataset.pipeline.transforms:
                start = time.perf_counter()
                sample = step(sample)
                name = type(step).__name__
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
    return {name: seconds / len(draws) for name, seconds in spent.items()}


def _summary(timings: Mapping[str, Any], samples: int) -> dict[str, float]:
    ratios = [stock / fast for stock, fast in zip(timings['stock_seconds'], timings['fast_seconds'], strict=True)]
    return dict(
        ratio_median=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        stock_samples_per_second=samples / statistics.median(timings['stock_seconds']),
        fast_samples_per_second=samples / statistics.median(timings['fast_seconds']),
    )


def _peak_rss() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def _memory_with_workers(dataset: Dataset, workers: int, batch_size: int, seed: int) -> int | None:
    """Return the most memory in bytes that this process and its loader workers held between batches; pages shared count once.

    None where the system does not say (Linux does).
    """
    peak = 0
    with warnings.catch_warnings(action='ignore', category=UserWarning):  # more workers than cores do no harm here
        loader = DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=CountedSampler(dataset, seed=seed),
            num_workers=workers,
            collate_fn=pseudo_collate,
            multiprocessing_context='fork',
        )
        for _ in itertools.islice(loader, 4 * workers):
            processes = ['self', *(child.pid for child in multiprocessing.active_children())]
            held = [_proportional_bytes(process) for process in processes]
            if None in held:
                return None
            peak = max(peak, sum(held))
    return peak


def _proportional_bytes(process: int | str) -> int | None:
    """Return a process's proportional set size in bytes: shared pages divided by the number of processes that share them."""
    try:
        lines = Path(f'/proc/{process}/smaps_rollup').read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith('Pss:')), None)
