"""The metric of every training and test: pooled counts, the counts of every single image, and a few predictions to show."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from octfluid.datasets.fluid_dataset import FLUID_CLASSES
from octfluid.metrics.confusion import image_row, pooled_metrics
from octfluid.metrics.threshold_free import logit_histogram


@METRICS.register_module()
class FluidMetric(BaseMetric):
    """IoU and Dice pooled over all pixels of all images, as mmseg's `IoUMetric`, and the counts behind them.

    The figures are fractions, unrounded: ``mIoU``, ``mDice``, ``aAcc``, and ``IoU.<class>`` and ``Dice.<class>`` for every
    class. One that is undefined (0/0) is NaN here and null in the run record. The prediction is compared with the ground truth
    at the ground truth's own size. In a list with mmseg's `IoUMetric`, give that one a ``prefix``: both have a ``mIoU``.

    Args:
        ignore_index: Label of pixels that do not count.
        **kwargs: Passed to `mmengine.evaluator.BaseMetric`.

    Attributes:
        images: After an evaluation, one row of the run record per image (see `octfluid.metrics.confusion.image_row`), by name.
            Its ``extra`` holds ``logit_histogram`` (see `octfluid.metrics.threshold_free`), where the model gives logits.
        scores: After an evaluation, the figures; None for one that is undefined.
        masks: After an evaluation, name -> pixels predicted as class 1, a bit a pixel (`numpy.packbits`); see `mask`. Empty
            where the foreground is not fluid. In a run of several processes all three are filled in the main one only.
    """

    default_prefix = ''

    def __init__(self, ignore_index: int = 255, **kwargs) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.images: list[dict] = []
        self.scores: dict[str, float | None] = {}
        self.masks: dict[str, np.ndarray] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch of predictions; each data sample holds (1, H, W) integer maps of prediction and ground truth."""
        for sample in data_samples:
            prediction = sample['pred_sem_seg']['data'].squeeze(0)
            truth = sample['gt_sem_seg']['data'].squeeze(0)
            name = sample.get('name') or Path(sample['img_path']).stem
            masks = prediction.cpu().numpy(), truth.cpu().numpy()
            classes = tuple(self.dataset_meta['classes'])
            row = image_row(name, sample.get('subject'), *masks, self.ignore_index, classes)
            if (difference := _logit_difference(sample)) is not None and difference.shape == masks[1].shape:
                row['extra']['logit_histogram'] = logit_histogram(difference, masks[1], self.ignore_index)
            # Masks use one bit a pixel, because all stay in memory and are gathered across processes.
            self.results.append((row, np.packbits(masks[0] == 1) if classes == FLUID_CLASSES else None))

    def compute_metrics(self, results: list[tuple[dict, np.ndarray | None]]) -> dict[str, float]:
        """Pool the rows of all images, and return the figures."""
        self.images = sorted((row for row, _ in results), key=lambda row: row['name'])
        self.masks = {row['name']: packed for row, packed in results if packed is not None}
        self.scores = pooled_metrics(self.images, self.dataset_meta['classes'])
        return {key: float('nan') if value is None else value for key, value in self.scores.items()}

    def mask(self, row: dict) -> np.ndarray:
        """Return the predicted mask of an image of `images`: (H, W), uint8, 0 and 1."""
        shape = row['height'], row['width']
        return np.unpackbits(self.masks[row['name']], count=shape[0] * shape[1]).reshape(shape)


def _logit_difference(sample: dict) -> np.ndarray | None:
    """Return the logit of any class but background minus that of background, (H, W); None where the model gives neither."""
    if 'fluid_probability' in sample:
        return torch.logit(sample['fluid_probability']['data'].squeeze(0).double(), eps=1e-6).cpu().numpy()
    if 'seg_logits' not in sample or sample['seg_logits']['data'].shape[0] < 2:
        return None
    logits = sample['seg_logits']['data']
    return (logits[1:].logsumexp(0) - logits[0]).cpu().numpy()
