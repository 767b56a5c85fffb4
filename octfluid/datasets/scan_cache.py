"""The part of a pipeline that gives the same result every time (read, decode, resize), done once a scan and kept in memory."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations, Resize

from octfluid.datasets.windows import file_state

FIXED = (LoadImageFromFile, LoadAnnotations, Resize)
"""Transforms without a random draw that pipelines begin with."""


def fixed_head(steps: Sequence[Callable]) -> int:
    """Return how many transforms at the beginning of a pipeline are among `FIXED`; subclasses may draw, and are not."""
    return next((place for place, step in enumerate(steps) if type(step) not in FIXED), len(steps))


class CachedHead(BaseTransform):
    """Stands in for the transforms that a pipeline begins with and whose results do not change.

    Keeps their result for each scan, up to a limit; a scan beyond it is read for every sample as without a cache. Processes
    that are forked after `fill` share what is kept. A copy or a pickle is empty, so that workers started by ``spawn`` fill
    caches of their own. A file that has changed since is read again.

    Args:
        head: The transforms, built; all among `FIXED`.
        limit: Most memory for the pixels kept, in bytes.
    """

    def __init__(self, head: Sequence[Callable[[dict], dict]], limit: int) -> None:
        self.head = list(head)
        self.limit = limit
        self.bytes = 0
        self._kept: dict[tuple[str, str], tuple[tuple, dict[str, Any]]] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_kept': {}, 'bytes': 0}

    def __len__(self) -> int:
        return len(self._kept)

    def fill(self, samples: Iterable[dict]) -> None:
        """Prepare these samples (as `transform` takes them) until the limit is reached, for processes forked later."""
        for sample in samples:
            known = len(self)
            self.transform(sample)
            if len(self) == known:
                return

    def transform(self, results: dict) -> dict:
        """Return what the transforms make of a sample; arrays in it belong to the caller.

        Args:
            results: A sample of `octfluid.datasets.fluid_dataset.FluidDataset.load_data_list`.

        Raises:
            InputError: A file that is missing.
        """
        key = results['img_path'], results['seg_map_path']
        state = tuple(map(file_state, key))
        known = self._kept.get(key)
        if known is None or known[0] != state:
            made = dict(results)
            for step in self.head:
                made = step(made)
            if not self._keep(key, state, made):
                return made
            known = self._kept[key]
        return {**results, **{name: _own(value) for name, value in known[1].items()}}

    def _keep(self, key: tuple[str, str], state: tuple, made: dict[str, Any]) -> bool:
        """Keep a result if it fits; whatever was kept of an earlier state of its files goes."""
        if key in self._kept:
            self.bytes -= _size(self._kept.pop(key)[1])
        if self.bytes + _size(made) > self.limit:
            return False
        self._kept[key] = state, made
        self.bytes += _size(made)
        return True


def _size(made: dict[str, Any]) -> int:
    return sum(value.nbytes for value in made.values() if isinstance(value, np.ndarray))


def _own(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray | list) else value
