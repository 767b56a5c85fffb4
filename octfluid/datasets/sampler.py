"""Which sample comes when, and with which randomness."""

from collections.abc import Iterator

import numpy as np
from mmengine.dataset import InfiniteSampler
from mmseg.registry import DATA_SAMPLERS


class SampleDraw(int):
    """One draw of a training sample: its position in the data set, with the seed of everything random that happens to it.

    Wrappers such as `RepeatDataset` and `ConcatDataset` compute positions of their parts by ``%`` and ``-``, which keep the
    seed, a number from 0 to 2**32 - 1.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> 'SampleDraw':
        """Make an integer that carries a seed."""
        draw = super().__new__(cls, index)
        draw.seed = seed
        return draw

    def __getnewargs__(self) -> tuple[int, int]:
        return int(self), self.seed

    def __mod__(self, other: int) -> 'SampleDraw':
        return SampleDraw(int(self) % int(other), self.seed)

    def __sub__(self, other: int) -> 'SampleDraw':
        return SampleDraw(int(self) - int(other), self.seed)


def draw_seed(seed: int, counter: int) -> int:
    """Seed of the ``counter``-th sample (from 0, over all ranks) of a run with ``seed``; uniform over 32 bits."""
    return int(np.random.SeedSequence((seed, counter)).generate_state(1)[0])


@DATA_SAMPLERS.register_module()
class CountedSampler(InfiniteSampler):
    """mmengine's endless shuffled sampler, which also hands each draw a seed made from (run seed, sample counter).

    So neither the number of workers or ranks nor an interruption changes what the network sees. It is the data set that
    applies the seed (`octfluid.datasets.fluid_dataset.FluidDataset`).
    """

    def _infinite_indices(self) -> Iterator[SampleDraw]:
        for counter, index in enumerate(super()._infinite_indices()):
            yield SampleDraw(index, draw_seed(self.seed, counter))
