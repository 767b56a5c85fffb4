import itertools

import pytest
from mmengine.dataset import sampler as mmengine_sampler

from octfluid.datasets.sampler import CountedSampler, SampleDraw, draw_seed

SIZE = 7


def draws(sampler, number):
    return list(itertools.islice(iter(sampler), number))


@pytest.fixture
def sampler_of_rank(monkeypatch):
    def make(rank, world_size, seed=0):
        monkeypatch.setattr(mmengine_sampler, 'get_dist_info', lambda: (rank, world_size))
        return CountedSampler(range(SIZE), seed=seed)

    return make


def test_every_draw_carries_a_seed_of_its_own():
    stream = draws(CountedSampler(range(SIZE), seed=0), 1000)
    assert all(isinstance(draw, SampleDraw) and 0 <= draw.seed < 2**32 for draw in stream)
    assert len({draw.seed for draw in stream}) == 1000


def test_seed_is_a_function_of_run_seed_and_counter():
    stream = draws(CountedSampler(range(SIZE), seed=3), 20)
    assert [draw.seed for draw in stream] == [draw_seed(3, counter) for counter in range(20)]
    assert draw_seed(3, 5) != draw_seed(5, 3)
    assert draw_seed(0, 0) == 2968811710, 'published runs could not be repeated'


def test_every_epoch_is_a_permutation_and_each_another():
    stream = draws(CountedSampler(range(SIZE), seed=0), 5 * SIZE)
    epochs = [tuple(draw.index for draw in stream[start : start + SIZE]) for start in range(0, len(stream), SIZE)]
    assert all(sorted(epoch) == list(range(SIZE)) for epoch in epochs)
    assert len(set(epochs)) == 5


def test_same_seed_same_stream_and_other_seed_another():
    one, two, other = (draws(CountedSampler(range(SIZE), seed=seed), 30) for seed in (1, 1, 2))
    assert one == two
    assert [draw.index for draw in one] != [draw.index for draw in other]
    assert {draw.seed for draw in one}.isdisjoint(draw.seed for draw in other)


@pytest.mark.parametrize('number', [0, 1, SIZE, 25])
def test_skipping_equals_dropping(number):
    skipped = CountedSampler(range(SIZE), seed=4)
    skipped.skip(number)
    assert draws(skipped, 20) == draws(CountedSampler(range(SIZE), seed=4), number + 20)[number:]


@pytest.mark.parametrize('world_size', [2, 3])
def test_ranks_share_the_stream_of_one_process(sampler_of_rank, world_size):
    whole = draws(sampler_of_rank(0, 1), 12 * world_size)
    parts = [draws(sampler_of_rank(rank, world_size), 12) for rank in range(world_size)]
    assert [draw for together in zip(*parts, strict=True) for draw in together] == whole


def test_a_rank_skips_its_own_draws(sampler_of_rank):
    skipped = sampler_of_rank(1, 2)
    skipped.skip(4)
    assert draws(skipped, 5) == draws(sampler_of_rank(1, 2), 9)[4:]
