import itertools
import pickle

import pytest
from mmengine.dataset import sampler as mmengine_sampler

from octfluid.datasets.sampler import CountedSampler, SampleDraw, draw_seed

SIZE = 7


def draws(sampler, number):
    return [(int(draw), draw.seed) for draw in itertools.islice(iter(sampler), number)]


@pytest.fixture
def sampler_of_rank(monkeypatch):
    def make(rank, world_size, seed=0):
        monkeypatch.setattr(mmengine_sampler, 'get_dist_info', lambda: (rank, world_size))
        return CountedSampler(range(SIZE), seed=seed)

    return make


def test_a_draw_is_an_index_that_keeps_its_seed():
    draw = SampleDraw(9, 5)
    for other, index in ((draw, 9), (draw % 4, 1), (draw - 7, 2), (pickle.loads(pickle.dumps(draw)), 9)):
        assert (other, other.seed) == (index, 5)


def test_seed_is_a_function_of_run_seed_and_counter():
    assert [seed for _, seed in draws(CountedSampler(range(SIZE), seed=3), 20)] == [draw_seed(3, place) for place in range(20)]
    assert len({draw_seed(0, place) for place in range(1000)}) == 1000
    assert draw_seed(3, 5) != draw_seed(5, 3)
    assert draw_seed(0, 0) == 2968811710, 'published runs could not be repeated'


@pytest.mark.parametrize('number', [0, 1, SIZE, 25])
def test_skipping_equals_dropping(sampler_of_rank, number):
    for rank, world_size in ((0, 1), (1, 2)):
        skipped = sampler_of_rank(rank, world_size)
        skipped.skip(number)
        assert draws(skipped, 20) == draws(sampler_of_rank(rank, world_size), number + 20)[number:]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_the_stream_of_one_process(sampler_of_rank, world_size):
    whole = draws(sampler_of_rank(0, 1), 12 * world_size)
    parts = [draws(sampler_of_rank(rank, world_size), 12) for rank in range(world_size)]
    assert [draw for together in zip(*parts, strict=True) for draw in together] == whole
