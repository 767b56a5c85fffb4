"""The part of a pipeline that gives the same result every time (read, decode, resize), done once a scan and kept in memory."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations, Resize

FIXED = (LoadImageFromFile, LoadAnnotations, Resize)
"""Transforms without a random draw that pipelines begin with."""


def fixed_head(steps: Sequence[Callable]) -> int:
    """Return how many transforms at the beginning of a pipeline are among `FIXED`; subclasses may draw, and are not."""
    return next((place for place, step in enumerate(steps) if type(step) not in FIXED), len(steps))


class CachedHead(BaseTransform):
    """Stands in for the transforms that a pipeline begins with and whose results do not change.

    Keeps their result for each scan, up to a limit; a scan beyond it is read for every sample as without a cache. Processes
    that are forked after `fill` share what is kept. A copy or a pickle is empty, so that workers started by ``spawn`` fill
    caches of their own.

    Args:
        head: The transforms, built; all among `FIXED`.
        limit: Most memory for the pixels kept, in bytes.
        copy: Give each sample arrays of its own; False where the next transforms do not write into them.
    """

    def __init__(self, head: Sequence[Callable[[dict], dict]], limit: float, copy: bool = True) -> None:
        self.head = list(head)
        self.limit = limit
        self.copied = (np.ndarray, list) if copy else list
        self.bytes = 0
        self._kept: dict[str, dict[str, Any]] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_kept': {}, 'bytes': 0}

    def __len__(self) -> int:
        return len(self._kept)

    def fill(self, samples: Iterable[dict]) -> None:
        """Prepare these samples (as `transform` takes them) until the limit is reached, for processes forked later."""
        for known, sample in enumerate(samples, start=1):
            self.transform(sample)
            if len(self) < known:
                return

    def transform(self, results: dict) -> dict:
        """Return what the transforms make of a sample of `octfluid.datasets.fluid_dataset.FluidDataset.load_data_list`."""
        path = results['img_path']
        if path not in self._kept:
            made = results
            for step in self.head:
                made = step(made)
            size = sum(value.nbytes for value in made.values() if isinstance(value, np.ndarray))
            if self.bytes + size > self.limit:
                return made
            self._kept[path] = made
            self.bytes += size
        return {name: value.copy() if isinstance(value, self.copied) else value for name, value in self._kept[path].items()}
