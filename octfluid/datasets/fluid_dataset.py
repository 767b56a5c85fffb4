"""Data sets of B-scans with fluid masks, as MMSegmentation dataset classes."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from octfluid.datasets.integrity import SUFFIX, load_index, read_split
from octfluid.datasets.mask_checks import IMAGE_MODES
from octfluid.datasets.sampler import SampleDraw
from octfluid.datasets.windows import HEAD, WindowFirst
from octfluid.errors import InputError

FLUID_CLASSES = ('background', 'fluid')
FLUID_PALETTE = [[0, 0, 0], [230, 159, 0]]


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
        truth_dir: Which of the data set's sizes the masks are of, where it is another than the images': ``'paper_256'`` scores
            predictions on native scans against the paper's ground truth. None: ``size_dir``.
        reduce_zero_label: Must stay False: label 0 is the background and takes part in everything.
        **kwargs: Passed to `mmseg.datasets.BaseSegDataset`.

    Raises:
        InputError: Unknown split, missing data, ``reduce_zero_label=True``, or ``window_first=True`` with a pipeline whose
            beginning `WindowFirst` cannot reproduce.
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
        truth_dir: str | None = None,
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        if reduce_zero_label:
            raise InputError(
                'reduce_zero_label=True: it would drop the background and make fluid class 0; expected False, remove it'
            )
        self.split = split
        self.subset = subset
        self.size_dir = size_dir
        self.scan_size = scan_size
        self.window_first = window_first
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
        """Read the lists, and decode the scans if windows are to be cut from them."""
        if self._fully_initialized:
            return
        steps = self.pipeline.transforms
        first = WindowFirst(steps[: len(HEAD)]) if self.window_first else None
        super().full_init()
        if first is not None:
            steps[: len(HEAD)] = [first]
            first.fill(self.get_data_info(index) for index in range(len(self)))

    def load_data_list(self) -> list[dict]:
        """Return one dict per B-scan of the split, in the order of the split file."""
        index = load_index(self.data_root)
        images, masks = Path(self.data_prefix['img_path']), Path(self.data_prefix['seg_map_path'])
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
            for name in read_split(self.data_root, self.split, self.subset)
        ]

    def __getitem__(self, item: int | SampleDraw) -> Any:
        """Return one sample; a `SampleDraw` fixes the randomness of its augmentation."""
        if isinstance(item, SampleDraw):
            with seeded_draws(item.seed):
                return super().__getitem__(item.index)
        return super().__getitem__(item)


@DATASETS.register_module()
class DukeDMEDataset(FluidDataset):
    """The 110 graded B-scans of the Duke DME data (Chiu et al., 2015), see `octfluid.datasets.duke_prepare`."""

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
