"""Data sets of B-scans with fluid masks, and of photographs with vessel masks, as MMSegmentation dataset classes."""

import math
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.structures import PixelData
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations, PackSegInputs, Resize
from mmseg.registry import DATASETS, TRANSFORMS
from torch.utils.data import get_worker_info

from octfluid.datasets.integrity import IMAGE_MODES, SUFFIX
from octfluid.datasets.lazy_resize import use_windows
from octfluid.datasets.sampler import SampleDraw
from octfluid.datasets.splits import load_index
from octfluid.utils.errors import InputError
from octfluid.utils.text import read_text

FLUID_CLASSES = ('background', 'fluid')
FLUID_PALETTE = [[0, 0, 0], [230, 159, 0]]
VESSEL_CLASSES = ('background', 'vessel')
VESSEL_PALETTE = [[0, 0, 0], [0, 114, 178]]
META_KEYS = (
    'img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip', 'flip_direction',
    'reduce_zero_label', 'name', 'subject', 'slice',
)  # fmt: skip


@TRANSFORMS.register_module()
class IgnoreUngradedColumns(BaseTransform):
    """Label as ignored (255) what lies left and right of the columns that the grader looked at, as ``index.csv`` has them.

    ``width`` is that of the scans whose columns the index counts, in pixels; the mask may have another. Place it after
    `LoadAnnotations`, before anything moves pixels.

    Raises:
        InputError: The data set's ``index.csv`` has no graded columns.
    """

    def __init__(self, width: int = 768) -> None:
        self.width = width

    def transform(self, results: dict) -> dict:
        """Change ``gt_seg_map``, (H, W)."""
        if results['graded'] is None:
            raise InputError(f'{results["img_path"]}: index.csv has no graded columns for it; convert the data set again')
        first, last = results['graded']
        mask = results['gt_seg_map']
        place = (np.arange(mask.shape[1]) + 0.5) * self.width / mask.shape[1]
        mask[:, (place < first) | (place > last + 1)] = 255
        return results


FIXED = (LoadImageFromFile, LoadAnnotations, IgnoreUngradedColumns, Resize)
"""Transforms without a random draw that pipelines begin with; subclasses may draw."""


@contextmanager
def seeded_draws(seed: int) -> Iterator[None]:
    """Seed the generators that transforms draw from (Python's, NumPy's, torch's on CPUs) and restore them after the block."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class MaskData(PixelData):
    """A mask, int64 (1, H, W) with labels 0..255, which goes from one process to another as uint8."""

    def __reduce__(self) -> tuple:
        return _mask_data, (self.data.byte(),)


def _mask_data(labels: torch.Tensor) -> MaskData:
    return MaskData(data=labels.long())


@TRANSFORMS.register_module()
class PackFluidInputs(PackSegInputs):
    """mmseg's `PackSegInputs`, with the scan's name, subject and slice among the sample's metainfo.

    A gray scan is packed as (3, H, W), three views of one plane, because MMSegmentation's tools expect colour; `ScanSegmentor`
    takes the first.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict[str, Any]:
        """Pack one sample."""
        packed = super().transform(results)
        if packed['inputs'].shape[0] == 1:
            packed['inputs'] = packed['inputs'].expand(3, -1, -1)
        if getattr(results.get('gt_seg_map'), 'dtype', None) == np.uint8:
            packed['data_samples'].gt_sem_seg = MaskData(data=packed['data_samples'].gt_sem_seg.data)
        return packed


class CachedHead(BaseTransform):
    """Stands in for the transforms that a pipeline begins with and whose results do not change (`FIXED`).

    Keeps their result for each scan up to ``limit`` bytes of pixels; a scan beyond it is read for every sample. Processes that
    are forked later share what is kept; a pickle is empty, so that workers started by ``spawn`` fill caches of their own. With
    ``copy=False`` samples share their arrays, for transforms that do not write into them.
    """

    def __init__(self, head: Sequence[Callable[[dict], dict]], limit: float, copy: bool = True) -> None:
        self.head, self.limit, self.bytes = list(head), limit, 0
        self.copied = (np.ndarray, list) if copy else list
        self.kept: dict[str, dict[str, Any]] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, 'kept': {}, 'bytes': 0}

    def transform(self, results: dict) -> dict:
        """Return what the transforms make of a sample of `FluidDataset.load_data_list`."""
        path = results['img_path']
        if path not in self.kept:
            made = results
            for step in self.head:
                made = step(made)
            size = sum(value.nbytes for value in made.values() if isinstance(value, np.ndarray))
            if self.bytes + size > self.limit:
                return made
            self.kept[path] = made
            self.bytes += size
        return {name: value.copy() if isinstance(value, self.copied) else value for name, value in self.kept[path].items()}


@DATASETS.register_module()
class FluidDataset(BaseSegDataset):
    """B-scans and their masks (0 background, 1 fluid) in the layout that the dataset converters write.

    ``<data_root>/<size>/{images,annotations}/<name>.png``, ``<data_root>/splits/<split>_{train,val}.txt`` (``ann_file``) and
    ``<data_root>/index.csv``. A sample's metainfo carries its ``name``, ``subject`` (int) and ``slice`` (0-based int); the last
    two are None for a name that ``index.csv`` lacks. A subclass may have images of another suffix (``IMAGE_SUFFIX``) and only
    some of Pillow's modes (``IMAGE_MODES``). For other classes give ``metainfo=dict(classes=(...))``.
    ``img_path`` and ``seg_map_path`` of ``data_prefix`` may be of two sizes: predictions on native scans are then scored
    against masks of another size.

    Args:
        scan_size: (height, width) in pixels that every scan has, checked before training; None when they differ.
        window_first: Compute only the windows that the pipeline's `RandomResize` and `RandomCrop` keep
            (`octfluid.datasets.lazy_resize`), from scans that are decoded once and all stay in memory. The samples are
            the same, but for 1 gray level before colours change.
        cache_bytes: Keep what the first transforms make of a scan (read, decode, resize: `FIXED`)
            in at most so much memory; 0 keeps nothing. The samples are the same. ``window_first`` keeps all.
        **kwargs: Passed to `mmseg.datasets.BaseSegDataset`.

    Raises:
        InputError: Missing list, or ``window_first=True`` with another pipeline.
    """

    METAINFO: ClassVar[dict] = dict(classes=FLUID_CLASSES, palette=FLUID_PALETTE)
    IMAGE_SUFFIX: ClassVar[str] = SUFFIX
    IMAGE_MODES: ClassVar[tuple[str, ...]] = IMAGE_MODES
    # What an exported model says it was made for, and the terms of its weights.
    DOMAIN: ClassVar[dict] = dict(device='unknown', scale='unknown')
    LICENCE: ClassVar[str] = 'that of the data it was trained on'

    def __init__(
        self,
        scan_size: tuple[int, int] | None = None,
        window_first: bool = False,
        cache_bytes: int = 0,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        self.scan_size = scan_size
        self.window_first = window_first
        self.cache_bytes = cache_bytes
        if metainfo is not None:
            metainfo = {'palette': [], **metainfo}
        super().__init__(
            img_suffix=self.IMAGE_SUFFIX, seg_map_suffix=SUFFIX, reduce_zero_label=False, metainfo=metainfo, **kwargs
        )

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> None:
        """Leave labels as they are in the masks: classes that a config names are theirs, not a choice among ours."""

    def full_init(self) -> None:
        """Read the lists, and decode the scans if windows are to be cut from them, or they are to be kept."""
        if self._fully_initialized:
            return
        super().full_init()
        steps = self.pipeline.transforms
        fixed = sum(1 for _ in takewhile(lambda step: type(step) in FIXED, steps))
        if self.window_first:
            use_windows(steps[fixed:])
        if fixed and (self.window_first or self.cache_bytes):
            cache = CachedHead(steps[:fixed], math.inf if self.window_first else self.cache_bytes, copy=not self.window_first)
            for index in range(len(self)):  # before workers are forked, which share what is kept
                cache(self.get_data_info(index))
                if len(cache.kept) <= index:
                    break
            steps[:fixed] = [cache]

    def load_data_list(self) -> list[dict]:
        """Return one dict per B-scan of the list, in its order."""
        names = [line.strip() for line in read_text(Path(self.ann_file), 'utf-8-sig').splitlines() if line.strip()]
        index = load_index(self.data_root) if Path(self.data_root, 'index.csv').is_file() else {}
        images, masks = Path(self.data_prefix['img_path']), Path(self.data_prefix['seg_map_path'])
        return [
            dict(
                img_path=str(images / f'{name}{self.img_suffix}'),
                seg_map_path=str(masks / f'{name}{self.seg_map_suffix}'),
                name=name,
                subject=index[name].subject if name in index else None,
                slice=index[name].slice if name in index else None,
                graded=index[name].graded if name in index else None,
                label_map=self.label_map,
                reduce_zero_label=False,
                seg_fields=[],
            )
            for name in names
        ]

    def __getitem__(self, item: int | SampleDraw) -> Any:
        """Return one sample; a `SampleDraw` fixes the randomness of its augmentation."""
        _leave_signals_to_main_process()
        if not isinstance(item, SampleDraw):
            return super().__getitem__(item)
        with seeded_draws(item.seed):
            return super().__getitem__(int(item))


def _leave_signals_to_main_process() -> None:
    """In a loader's worker, ignore what a terminal or a cluster sends to all processes: the last step needs its batch."""
    if get_worker_info() is None or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, 'sigwaitinfo'):  # on Linux, which says who sent a signal
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


@DATASETS.register_module()
class DukeDMEDataset(FluidDataset):
    """The 110 graded B-scans of the Duke DME data (Chiu et al., 2015), see `octfluid.datasets.prepare.duke_dme`."""

    DOMAIN: ClassVar[dict] = dict(
        device='Heidelberg Spectralis, eyes with diabetic macular edema (Duke DME, Chiu et al. 2015)',
        scale='496x768 pixels, nominal 0.00387 mm axial and 0.01133 mm lateral (10.94 to 11.98 um by subject)',
        limits=(
            'Ten patients of one clinic, one device, one disease and one grader, who graded the middle of each scan only. '
            'On scans of other devices it found far less (docs/results/recipes.md).',
            'Two graders of these scans agree with each other only in part; so will a network with either.',
            'Walls between neighbouring pockets are often filled. Small pockets are missed and invented far more often than '
            'large ones, which rule a pooled Dice.',
            'There is hardly any fluid below the retina in these scans, and it is often missed elsewhere.',
        ),
    )
    LICENCE: ClassVar[str] = (
        'Weights: Apache-2.0. Data: published by Duke University for research, to be cited as Chiu et al., Biomed. Opt. '
        'Express 6:1172, 2015; not part of this file.'
    )


@DATASETS.register_module()
class PhantomDataset(FluidDataset):
    """Generated phantoms, see `octfluid.datasets.phantoms`."""


# It replaces mmseg's class of this name, which reads another layout and is no `FluidDataset`.
@DATASETS.register_module(force=True)
class HRFDataset(FluidDataset):
    """The HRF photographs (Budai et al., 2013), RGB in JPEG format, with vessel masks, see `octfluid.datasets.prepare.hrf`."""

    METAINFO: ClassVar[dict] = dict(classes=VESSEL_CLASSES, palette=VESSEL_PALETTE)
    IMAGE_SUFFIX = '.jpg'
    IMAGE_MODES = ('RGB',)
