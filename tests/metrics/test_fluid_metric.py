import json

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from octfluid.metrics.fluid_metric import FluidMetric
from octfluid.metrics.threshold_free import logit_histogram

CLASSES = ('background', 'fluid')


def data_samples(pairs):
    """What a segmentor hands to a metric, for (prediction, truth) masks."""
    return [
        dict(
            name=f's01_z{index:02d}', subject=1,
            pred_sem_seg=dict(data=torch.tensor(prediction, dtype=torch.int64)[None]),
            gt_sem_seg=dict(data=torch.tensor(truth, dtype=torch.uint8)[None]),
        )
        for index, (prediction, truth) in enumerate(pairs)
    ]  # fmt: skip


def evaluate(samples, metric=None, batch=2):
    metric = metric or FluidMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    for start in range(0, len(samples), batch):
        metric.process({}, samples[start : start + batch])
    return metric.evaluate(len(samples)), metric


def random_pairs(seed, ignored=False):
    rng = np.random.default_rng(seed)
    pairs = []
    for shape in ((5, 7), (16, 16), (3, 40), (16, 16)):
        truth = (rng.random(shape) < 0.2).astype(np.uint8)
        prediction = np.where(rng.random(shape) < 0.8, truth, 1 - truth)
        if ignored:
            truth[rng.random(shape) < 0.1] = 255
        pairs.append((prediction, truth))
    return pairs


def test_predicted_masks_are_kept_bit_by_bit_and_never_in_the_rows():
    # Of widths that are no multiples of 8, so that the bits of a row do not end where a byte does.
    pairs = random_pairs(3)
    _, metric = evaluate(data_samples(pairs)[::-1])
    for row, (prediction, _) in zip(metric.images, pairs, strict=True):
        assert np.array_equal(metric.mask(row), prediction)
    json.dumps(metric.images)  # a record's rows: plain numbers, no arrays


def test_vessels_are_named_and_their_masks_not_kept():
    metric = FluidMetric()
    evaluate(data_samples(random_pairs(0)), metric)
    assert len(metric.masks) == 4
    metric.dataset_meta = dict(classes=('background', 'vessel'))
    metric.process({}, data_samples([([[1, 1], [0, 0]], [[1, 0], [1, 0]])]))
    scores = metric.evaluate(1)
    assert (scores['IoU.vessel'], scores['Dice.vessel']) == (1 / 3, 1 / 2) and metric.masks == {}


def with_logits(samples, margin, classes=2):
    """Give samples logits in which class 1 has this margin over the others."""
    for sample in samples:
        logits = torch.zeros(classes, *sample['pred_sem_seg']['data'].shape[1:])
        logits[1] = margin
        sample['seg_logits'] = dict(data=logits)
    return samples


def test_logits_are_counted_by_class_and_margin():
    truth = [[1, 1, 0], [255, 0, 0]]
    samples = data_samples([([[1, 1, 1], [1, 1, 1]], truth)])
    (row,) = evaluate(with_logits(samples, 3.0))[1].images
    assert row['extra']['logit_histogram'] == logit_histogram(np.full((2, 3), 3.0), np.array(truth))
    assert [sum(counts) for counts in row['extra']['logit_histogram'].values()] == [2, 3]
    del samples[0]['seg_logits']
    samples[0]['fluid_probability'] = dict(data=torch.full((1, 2, 3), 3.0).sigmoid())
    assert evaluate(samples)[1].images == [row]


@pytest.mark.parametrize('ignored', [False, True])
def test_figures_are_those_of_mmseg(ignored):
    samples = data_samples(random_pairs(0, ignored))
    ours, metric = evaluate(samples)
    assert metric.scores == ours
    theirs, _ = evaluate(samples, IoUMetric(iou_metrics=['mIoU', 'mDice']))
    for key in ('mIoU', 'mDice', 'aAcc'):
        assert round(100 * ours[key], 2) == pytest.approx(theirs[key], abs=0.0051), 'mmseg gives percent with two digits'


def test_rows_are_sorted_by_name_and_do_not_depend_on_the_batches():
    samples = data_samples(random_pairs(0))
    _, forward = evaluate(samples)
    metrics, backward = evaluate(samples[::-1], batch=3)
    assert [row['name'] for row in backward.images] == sorted(sample['name'] for sample in samples)
    assert backward.images == forward.images
    # A second evaluation starts afresh.
    assert evaluate(samples, backward)[0] == metrics and backward.images == forward.images
