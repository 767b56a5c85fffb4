import mmap

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from octfluid.engine import benchmark
from octfluid.engine.benchmark import benchmark_record


class Samples(dict):
    """Stands in for a data set: an image and a mask of one pixel each by draw."""

    def __getitem__(self, draw):
        gray, label = super().__getitem__(draw)
        truth = SegDataSample(gt_sem_seg=PixelData(data=torch.tensor([[[label]]])))
        return dict(inputs=torch.tensor([[[gray]]], dtype=torch.uint8), data_samples=truth)


@pytest.mark.parametrize(('other', 'expected'), [
    ({1: (250, 0), 2: (3, 1)}, (0, True)),
    ({1: (255, 0), 2: (0, 1)}, (5, True)),
    ({1: (250, 1), 2: (3, 1)}, (0, False)),
])  # fmt: skip
def test_differences_are_seen(other, expected):
    assert benchmark._compare(Samples({1: (250, 0), 2: (3, 1)}), Samples(other), [1, 2]) == expected


def test_ratio_is_that_of_pairs():
    # On a machine that slows down to a tenth half-way, the ratio of each pair is still 4, or 5.
    timings = dict(stock_seconds=[4.0, 50.0, 40.0], fast_seconds=[1.0, 10.0, 10.0])
    assert benchmark._summary(timings, samples=20) == dict(
        ratio_median=4, ratio_min=4, ratio_max=5, stock_samples_per_second=0.5, fast_samples_per_second=2
    )


def test_memory_is_that_of_all_processes():
    held = benchmark._proportional_bytes('self')
    if held is None:
        pytest.skip('this system does not say how much memory a process shares')
    # From the system itself: the C library may have kept as much for reuse.
    ballast = np.frombuffer(mmap.mmap(-1, 64 << 20), np.uint8)
    ballast[:] = 1
    assert benchmark._proportional_bytes('self') - held == pytest.approx(ballast.nbytes, rel=0.1)
    assert benchmark._proportional_bytes(0) is None


def test_record_names_no_place(request):
    config = request.config.rootpath / 'configs/hrf/pspnet.py'
    record = benchmark_record('data', str(config), {'data_root': '/somewhere', 'split': 'other'}, dict(summary={'a': 1}))
    assert (record['config'], record['overrides'], record['summary']) == ('configs/hrf/pspnet.py', {'split': 'other'}, {'a': 1})
    assert record['schema'] == 'octfluid.benchmark/1'
