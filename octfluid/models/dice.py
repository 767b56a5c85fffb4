"""Dice loss of one class over a whole batch, registered with MMSegmentation."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class BatchDiceLoss(nn.Module):
    """One minus the soft Dice of a class, its sums taken over all pixels of the batch.

    With the class's probability p and truth t (0 or 1) of each counted pixel::

        1 - (2 * sum(p * t) + smooth) / (sum(p) + sum(t) + smooth)

    This is Dice as Milletari et al. (V-Net, 3DV 2016) use it as a loss but for squares in the denominator, over the batch as in
    nnU-Net's ``batch_dice``. mmseg's ``DiceLoss`` takes the mean over images: there an image without fluid, as a third of the
    scans are, costs almost 1 for whatever small probability is left anywhere.

    Args:
        label: The class.
        smooth: Added above and below the line, in pixels; 0 < smooth. A batch without the class has a loss near 0 when nothing
            is predicted.
        loss_weight: Factor of the result.
        loss_name: Name in the log; must begin with ``loss_`` to be trained on.

    Raises:
        ValueError: ``smooth`` is not positive, or ``label`` is negative.

    Example:
        >>> loss = BatchDiceLoss(smooth=1e-6)
        >>> loss(torch.zeros(1, 2, 2, 2), torch.tensor([[[1, 1], [0, 0]]]))    # p = 0.5: 1 - 2 * 1 / (2 + 2)
        tensor(0.5000)
    """

    def __init__(self, label: int = 1, smooth: float = 1.0, loss_weight: float = 1.0, loss_name: str = 'loss_dice') -> None:
        super().__init__()
        if not smooth > 0:
            raise ValueError(f'smooth is {smooth}; expected a number above 0')
        if label < 0:
            raise ValueError(f'label is {label}; expected the number of a class, from 0')
        self.label = label
        self.smooth = smooth
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name under which a decode head sums and logs this loss."""
        return self._loss_name

    def forward(
        self, pred: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = 255, **_: object
    ) -> Tensor:
        """Compute the loss, in float32 whatever autocast made of the logits (in float64 if they are float64).

        Args:
            pred: Logits, floating, (N, C, H, W), C > ``label``.
            target: Labels, int64, (N, H, W).
            weight: Weight of each pixel, floating, (N, H, W).
            ignore_index: Label whose pixels do not count.

        Returns:
            A scalar in [0, loss_weight].

        Raises:
            ValueError: Shapes do not fit together, or there is no such class.
        """
        if pred.ndim != 4 or target.shape != (pred.shape[0], *pred.shape[2:]) or pred.shape[1] <= self.label:
            raise ValueError(
                f'logits {tuple(pred.shape)} and target {tuple(target.shape)}; expected (N, C, H, W) with C > {self.label} '
                'and (N, H, W)'
            )
        logits = pred if pred.dtype == torch.float64 else pred.float()
        counted = (target != ignore_index).to(logits.dtype)
        if weight is not None:
            counted = counted * weight
        probability = logits.softmax(dim=1)[:, self.label]
        truth = (target == self.label) * counted
        total = (probability * counted).sum() + truth.sum()
        dice = (2 * (probability * truth).sum() + self.smooth) / (total + self.smooth)
        return self.loss_weight * (1 - dice)
