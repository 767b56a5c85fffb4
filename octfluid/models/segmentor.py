"""A segmentor for gray scans of any size: it standardises, resizes and mirrors by itself, and scores probabilities."""

from collections.abc import Sequence
from functools import partial

import torch
from mmengine.structures import PixelData
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from octfluid.datasets.standardize import has_contrast, standardize
from octfluid.models.resample import resize


def _mirrored_inference(model: nn.Module, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
    infer = partial(EncoderDecoder.inference, model)
    direct = infer(inputs, batch_img_metas).softmax(dim=1)
    mirrored = infer(inputs.flip(3), batch_img_metas).softmax(dim=1).flip(3)
    # The logarithm of a mean probability is a logit of it: its softmax is that mean again.
    return ((direct + mirrored) / 2).clamp(min=torch.finfo(direct.dtype).tiny).log()


def use_mirror(model: nn.Module) -> None:
    """Have a built segmentor (softmax) average over each scan and its horizontal mirror image; scanners make no other."""
    model.inference = partial(_mirrored_inference, model)


@MODELS.register_module()
class ScanSegmentor(EncoderDecoder):
    """MMSegmentation's `EncoderDecoder` for gray B-scans, from raw gray values to the probability of fluid.

    In training it is an `EncoderDecoder`: the pipeline has standardised the scans and cut windows from them. In prediction it
    takes scans as they are and does what belongs to the network: bring them to its working size, standardise them as in
    training, average over mirror images, and bring the *probability*, rather than labels or logits, to the size of the ground
    truth, which is never resized. `tools/export_onnx.py` exports just that.

    Args:
        working_size: (height, width) in pixels that the network sees scans at; None for their own size. It must be that of the
            training pipeline's resize.
        mirror: Average the probability over the scan and its horizontal mirror image (test-time augmentation).
        threshold: A pixel is fluid where its probability is above this, in (0, 1).
        repeat: How often the gray channel is repeated for the backbone: 3 for one that was trained on colour photographs.
        **kwargs: As for mmseg's `EncoderDecoder`; two classes, the second of which is fluid.
    """

    def __init__(
        self,
        *,
        working_size: Sequence[int] | None = None,
        mirror: bool = False,
        threshold: float = 0.5,
        repeat: int = 1,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 < threshold < 1:
            raise ValueError(f'threshold is {threshold}; expected a number between 0 and 1')
        self.threshold = threshold
        self.repeat = repeat
        self.working_size = None if working_size is None else tuple(working_size)
        # Not a list: that would make the others part of this one's state.
        self.others: tuple[nn.Module, ...] = ()
        if mirror:
            use_mirror(self)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the features of standardised scans, (N, 1 or 3, h, w), of equal planes."""
        return super().extract_feat(inputs[:, :1].expand(-1, self.repeat, -1, -1))

    def join(self, others: Sequence['ScanSegmentor']) -> None:
        """Make this the first of an ensemble of segmentors of one config, whose probability is the mean of theirs."""
        self.others = tuple(others)

    def foreground(self, scans: Tensor) -> Tensor:
        """Return the probability of fluid of raw scans, at the network's working size.

        Args:
            scans: Gray values 0..255, (N, 1, H, W), float32.

        Returns:
            float32, (N, 1, h, w), where (h, w) is the working size, or (H, W). 0 everywhere for a scan without contrast, such
            as an empty frame of a volume.
        """
        size = self.working_size or tuple(scans.shape[2:])
        if tuple(scans.shape[2:]) != size:
            scans = resize(scans, *size)
        visible, scans = has_contrast(scans), standardize(scans)
        members = (self, *self.others)
        probabilities = [member.logits(scans).float().softmax(dim=1)[:, 1:] for member in members]
        return sum(probabilities[1:], probabilities[0]) / len(members) * visible

    def logits(self, scans: Tensor) -> Tensor:
        """Return the logits of standardised scans, (N, 2, h, w), whole or in windows as ``test_cfg`` has it."""
        shape = scans.shape[2:]
        # One for all of the batch, and no matter how many: a number of scans must not become part of an exported graph.
        return self.inference(scans, [dict(ori_shape=shape, img_shape=shape, pad_shape=shape)])

    def predict(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Segment raw scans.

        Args:
            inputs: Gray values 0..255, (N, 1 or 3, H, W), of equal planes, float32.
            data_samples: One a scan; where it has a ground truth, its size is that of the result.

        Returns:
            The samples with ``fluid_probability`` (1, h, w), float32, and ``pred_sem_seg`` (1, h, w), int64: 1 where the
            probability is above the threshold; (h, w) is the ground truth's size, else the scan's own.
        """
        samples = data_samples or [SegDataSample() for _ in inputs]
        probability = self.foreground(inputs[:, :1])
        for sample, one in zip(samples, probability.split(1), strict=True):
            size = sample.gt_sem_seg.shape if 'gt_sem_seg' in sample else inputs.shape[2:]
            scaled = one if tuple(one.shape[2:]) == tuple(size) else resize(one, *size)
            sample.set_data({
                'fluid_probability': PixelData(data=scaled[0]),
                'pred_sem_seg': PixelData(data=(scaled[0] > self.threshold).long()),
            })  # fmt: skip
        return samples
