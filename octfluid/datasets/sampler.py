"""Which sample comes when, and with which randomness."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from mmengine.dataset import InfiniteSampler
from mmseg.registry import DATA_SAMPLERS


class SampleDraw(NamedTuple):
    """One draw of a training sample.

    Attributes:
        index: Position in the dataset.
        seed: Seed of everything random that happens to this draw, 0 <= seed < 2**32.
    """

    index: int
    seed: int


def draw_seed(seed: int, counter: int) -> int:
    """Seed of the ``counter``-th sample (from 0, over all ranks) of a run with ``seed``; uniform over 32 bits."""
    return int(np.random.SeedSequence((seed, counter)).generate_state(1)[0])


@DATA_SAMPLERS.register_module()
class CountedSampler(InfiniteSampler):
    """mmengine's endless shuffled sampler, which also hands each draw a seed made from (run seed, sample counter).

    So neither the number of workers or ranks nor an interruption changes what the network sees. It is the dataset that
    applies the seed (`octfluid.datasets.FluidDataset`).
    """

    def _infinite_indices(self) -> Iterator[SampleDraw]:
        for counter, index in enumerate(super()._infinite_indices()):
            yield SampleDraw(index, draw_seed(self.seed, counter))
