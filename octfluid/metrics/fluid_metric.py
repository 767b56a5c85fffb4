"""The metric of every training and test: pooled counts, the counts of every single image, and a few predictions to show."""

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from prettytable import PrettyTable

from octfluid.datasets.fluid_dataset import FLUID_CLASSES
from octfluid.metrics.confusion import image_row, pooled_metrics
from octfluid.visualization.gallery import choose


@METRICS.register_module()
class FluidMetric(BaseMetric):
    """IoU and Dice pooled over all pixels of all images, as mmseg's `IoUMetric`, and the counts behind them.

    The figures are fractions, unrounded: ``mIoU``, ``mDice``, ``aAcc``, and ``IoU.<class>`` and ``Dice.<class>`` for both
    classes. One that is undefined (0/0) is NaN here and null in the run record. The prediction is compared with the ground
    truth at the ground truth's own size.

    Args:
        ignore_index: Label of pixels that do not count.
        **kwargs: Passed to `mmengine.evaluator.BaseMetric`.

    Attributes:
        images: After an evaluation, one row of the run record per image (see `octfluid.metrics.confusion.image_row`), by name.
        shown: After an evaluation, name -> predicted mask, (H, W) uint8 of 0 and 1, of the images that
            `octfluid.visualization.gallery.choose` names. Empty where the foreground is not
            fluid: photographs of vessels make no gallery. In a run of several processes both are filled in the main one only.
    """

    default_prefix = ''

    def __init__(self, ignore_index: int = 255, **kwargs) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index
        self.images: list[dict] = []
        self.shown: dict[str, np.ndarray] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count one batch of predictions; each data sample holds (1, H, W) integer maps of prediction and ground truth."""
        for sample in data_samples:
            prediction = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            truth = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
            row = image_row(sample['name'], sample['subject'], prediction, truth, self.ignore_index)
            # A bit a pixel: the masks of all images stay in memory, and travel between processes, until the best are known.
            packed = np.packbits(prediction == 1) if self._makes_gallery() else None
            self.results.append((row, packed))

    def _makes_gallery(self) -> bool:
        return self.dataset_meta['classes'][1] == FLUID_CLASSES[1]

    def compute_metrics(self, results: list[tuple[dict, np.ndarray | None]]) -> dict[str, float]:
        """Pool the rows of all images, log a table per class, and return the figures."""
        self.images = sorted((row for row, _ in results), key=lambda row: row['name'])
        chosen = set(choose(self.images).values())
        self.shown = {
            row['name']: np.unpackbits(packed, count=row['height'] * row['width']).reshape(row['height'], row['width'])
            for row, packed in results
            if packed is not None and row['name'] in chosen
        }
        classes = tuple(self.dataset_meta['classes'])
        metrics = {key: float('nan') if value is None else value for key, value in pooled_metrics(self.images, classes).items()}
        MMLogger.get_current_instance().info('\n' + self._table(classes, metrics))
        return metrics

    def _table(self, classes: tuple[str, ...], metrics: dict[str, float]) -> str:
        """Return the per-class table: scores in percent, and how many images and pixels hold the class."""
        table = PrettyTable(['class', 'IoU %', 'Dice %', 'images with it', 'true pixels', 'predicted pixels'])
        table.align = 'r'
        table.align['class'] = 'l'
        for name, true, predicted in zip(classes, (('tn', 'fp'), ('tp', 'fn')), (('tn', 'fn'), ('tp', 'fp')), strict=True):
            per_image = np.array([sum(row[key] for key in true) for row in self.images])
            table.add_row([
                name,
                f'{100 * metrics[f"IoU.{name}"]:.2f}',
                f'{100 * metrics[f"Dice.{name}"]:.2f}',
                f'{np.count_nonzero(per_image)} of {len(per_image)}',
                per_image.sum(),
                sum(row[key] for row in self.images for key in predicted),
            ])  # fmt: skip
        return table.get_string()
