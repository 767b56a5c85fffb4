"""Data sets of B-scans with fluid masks, as MMSegmentation dataset classes."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from octfluid.datasets.integrity import IMAGE_MODES, SUFFIX
from octfluid.datasets.memory import available_bytes
from octfluid.datasets.sampler import SampleDraw
from octfluid.datasets.scan_cache import CachedHead, fixed_head
from octfluid.datasets.splits import load_index, read_split
from octfluid.datasets.windows import HEAD, WindowFirst
from octfluid.utils.errors import InputError

UNFIT = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError, cv2.error)
"""What a setting of a wrong kind or size comes to, in libraries that take what they are given."""
FLUID_CLASSES = ('background', 'fluid')
FLUID_PALETTE = [[0, 0, 0], [230, 159, 0]]


class PipelineError(InputError):
    """A step of a pipeline fails on a scan: a setting of it is wrong, rather than the scan, which has been checked."""


@contextmanager
def seeded_draws(seed: int) -> Iterator[None]:
    """Make the random draws inside the block a function of ``seed`` alone, and leave the generators as they were.

    Covers Python's, NumPy's and torch's CPU generators, which are what the transforms of mmcv and mmseg draw from.

    Args:
        seed: 0 <= seed < 2**32.
    """
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


@DATASETS.register_module()
class FluidDataset(BaseSegDataset):
    """B-scans and their masks (0 background, 1 fluid) in the layout that the dataset converters write.

    ``<data_root>/<size_dir>/{images,annotations}/<name>.png``, ``<data_root>/splits/<split>_{train,val}.txt`` and
    ``<data_root>/index.csv``. A sample's metainfo carries its ``name``, ``subject`` (int) and ``slice`` (0-based int).
    A subclass may have images of another suffix (``IMAGE_SUFFIX``) and only some of Pillow's modes (``IMAGE_MODES``).

    Args:
        data_root: Folder of the prepared data set.
        size_dir: Which of its sizes, such as ``'paper_256'`` or ``'native'``.
        split: Name of the split.
        subset: ``'train'`` or ``'val'``.
        scan_size: (height, width) in pixels that every scan has, checked before training; None when they differ.
        pipeline: Transforms.
        test_mode: True for validation and testing.
        window_first: Compute only the windows that the pipeline's `RandomResize` and `RandomCrop` would keep, from scans that
            are decoded once, when the dataset is built, and stay in memory (see `octfluid.datasets.windows.WindowFirst`). The
            samples are the same.
        cache_bytes: Keep what the first transforms make of a scan (read, decode, resize: `octfluid.datasets.scan_cache.FIXED`)
            in at most so much memory, half of what the machine has left if that is less; 0 keeps nothing. The samples are the
            same. Does nothing beside ``window_first``.
        truth_dir: Which of the data set's sizes the masks are of, where it is another than the images': ``'paper_256'`` scores
            predictions on native scans against the paper's ground truth. None: ``size_dir``.
        reduce_zero_label: Must stay False: label 0 is the background and takes part in everything.
        **kwargs: Passed to `mmseg.datasets.BaseSegDataset`.

    Raises:
        InputError: Unknown split, missing data, ``reduce_zero_label=True``, ``cache_bytes`` below 0, or ``window_first=True``
            with a pipeline whose beginning `WindowFirst` cannot reproduce.
    """

    METAINFO: ClassVar[dict] = dict(classes=FLUID_CLASSES, palette=FLUID_PALETTE)
    IMAGE_SUFFIX: ClassVar[str] = SUFFIX
    IMAGE_MODES: ClassVar[tuple[str, ...]] = IMAGE_MODES
    # What an exported model says it was made for, and the terms of its weights.
    DOMAIN: ClassVar[dict] = dict(device='unknown', scale='unknown')
    LICENCE: ClassVar[str] = 'that of the data it was trained on'

    def __init__(
        self,
        data_root: str,
        size_dir: str,
        split: str,
        subset: str,
        scan_size: tuple[int, int] | None = None,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
        window_first: bool = False,
        cache_bytes: int = 0,
        truth_dir: str | None = None,
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        if reduce_zero_label:
            raise InputError(
                'reduce_zero_label=True: it would drop the background and make fluid class 0; expected False, remove it'
            )
        if not isinstance(cache_bytes, int) or cache_bytes < 0:
            raise InputError(f'cache_bytes={cache_bytes!r}: expected a whole number of bytes, 0 to keep nothing')
        self.split = split
        self.subset = subset
        self.size_dir = size_dir
        self.scan_size = scan_size
        self.window_first = window_first
        self.cache_bytes = cache_bytes
        self.truth_dir = truth_dir or size_dir
        super().__init__(
            data_root=data_root,
            data_prefix=dict(img_path=str(Path(size_dir) / 'images'), seg_map_path=str(Path(self.truth_dir) / 'annotations')),
            img_suffix=self.IMAGE_SUFFIX,
            seg_map_suffix=SUFFIX,
            pipeline=list(pipeline),
            test_mode=test_mode,
            reduce_zero_label=False,
            **kwargs,
        )

    def full_init(self) -> None:
        """Read the lists, and decode the scans if windows are to be cut from them, or they are to be kept."""
        if self._fully_initialized:
            return
        steps = self.pipeline.transforms
        first = WindowFirst(steps[: len(HEAD)]) if self.window_first else None
        super().full_init()
        if first is not None:
            steps[: len(HEAD)] = [first]
            first.fill(self.get_data_info(index) for index in range(len(self)))
        elif self.cache_bytes and (fixed := fixed_head(steps)):
            steps[:fixed] = [self._filled_cache(steps[:fixed])]

    def _filled_cache(self, head: Sequence[Callable]) -> CachedHead:
        """Keep as many scans as memory allows, and say so if that is not all of them."""
        available = available_bytes()
        limit = self.cache_bytes if available is None else min(self.cache_bytes, available // 2)
        cache = CachedHead(head, limit)
        cache.fill(self.get_data_info(index) for index in range(len(self)))
        if len(cache) < len(self):
            print_log(
                f'{len(cache)} of {len(self)} scans are kept in memory, the others read anew for every sample: cache_bytes is '
                f'{self.cache_bytes}, and half of the memory left {"unknown" if available is None else available // 2} bytes',
                logger='current',
                level=logging.WARNING,
            )
        return cache

    def load_data_list(self) -> list[dict]:
        """Return one dict per B-scan of the split, in the order of the split file."""
        index = load_index(self.data_root)
        images, masks = Path(self.data_prefix['img_path']), Path(self.data_prefix['seg_map_path'])
        names = read_split(self.data_root, self.split, self.subset)
        if unknown := [name for name in names if name not in index]:
            raise InputError(
                f"{self.data_root}/splits/{self.split}_{self.subset}.txt: '{unknown[0]}' is not in {self.data_root}/index.csv; "
                'see tools/check_dataset.py'
            )
        return [
            dict(
                img_path=str(images / f'{name}{self.img_suffix}'),
                seg_map_path=str(masks / f'{name}{self.seg_map_suffix}'),
                name=name,
                subject=index[name].subject,
                slice=index[name].slice,
                label_map=self.label_map,
                reduce_zero_label=False,
                seg_fields=[],
            )
            for name in names
        ]

    def __getitem__(self, item: int | SampleDraw) -> Any:
        """Return one sample; a `SampleDraw` fixes the randomness of its augmentation.

        Raises:
            PipelineError: A step of the pipeline fails.
        """
        index, seeded = item, nullcontext()
        if isinstance(item, SampleDraw):
            index, seeded = item.index, seeded_draws(item.seed)
        try:
            with seeded:
                return super().__getitem__(index)
        except UNFIT as error:  # a step that acts on some of the samples only may fail late, and its message tells neither
            name, reason = self.get_data_info(index)['name'], ' '.join(str(error).split())
            raise PipelineError(
                f'{name}: the {self.subset} pipeline makes no sample of it ({type(error).__name__}: {reason}); check its steps'
            ) from error


@DATASETS.register_module()
class DukeDMEDataset(FluidDataset):
    """The 110 graded B-scans of the Duke DME data (Chiu et al., 2015), see `octfluid.datasets.prepare.duke_dme`."""

    DOMAIN: ClassVar[dict] = dict(
        device='Heidelberg Spectralis, eyes with diabetic macular edema (Duke DME, Chiu et al. 2015)',
        scale='496x768 pixels, nominal 0.00387 mm axial and 0.01133 mm lateral (10.94 to 11.98 um by subject)',
        limits=(
            'Ten patients of one clinic, one device, one disease and one grader, who graded the middle of each scan only. '
            'On scans of other devices it found far less (docs/results/external.md).',
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
