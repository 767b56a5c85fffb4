"""A plain U-Net with a width for every stage, as nnU-Net builds it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

NORM = dict(type='BN')
ACT = dict(type='ReLU')


@MODELS.register_module()
class PlainUNet(BaseModule):
    """Encoder of strided 3x3 convolutions, decoder of 1x1 convolutions, bilinear enlargement and 3x3 convolutions.

    Unlike MMSegmentation's ``UNet``, whose channels double with every stage, the width of each stage is given, so that deep
    stages can be capped (Isensee et al., nnU-Net, Nature Methods 2021); it halves by strides in place of pooling, reduces
    channels before it enlarges rather than after, and takes scans of any height and width.

    Args:
        in_channels: Channels of the input.
        channels: Width of each stage, from the full resolution down; each stage halves height and width.
        encoder_convs: 3x3 convolutions of each encoder stage; the first of a stage below the top has stride 2.
        decoder_convs: 3x3 convolutions of each decoder stage.
        norm_cfg: Normalisation after each convolution.
        act_cfg: Activation after each normalisation.
        init_cfg: As in mmengine's `BaseModule`; by default Kaiming's initialisation.

    Example:
        >>> features = PlainUNet(channels=(8, 16, 32))(torch.zeros(1, 1, 33, 50))
        >>> [tuple(map_.shape) for map_ in features]
        [(1, 32, 9, 13), (1, 16, 17, 25), (1, 8, 33, 50)]
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256, 320, 320),
        encoder_convs: int = 2,
        decoder_convs: int = 2,
        norm_cfg: dict = NORM,
        act_cfg: dict = ACT,
        init_cfg: dict | list | None = None,
    ) -> None:
        he = [dict(type='Kaiming', layer='Conv2d'), dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])]
        super().__init__(init_cfg=he if init_cfg is None else init_cfg)
        self.layers = dict(norm_cfg=dict(norm_cfg), act_cfg=dict(act_cfg))
        before = (in_channels, *channels)
        self.encoder = nn.ModuleList(
            self._stage(before[depth], width, encoder_convs, stride=2 if depth else 1) for depth, width in enumerate(channels)
        )
        upwards = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.reduce = nn.ModuleList(nn.Conv2d(deep, width, 1) for deep, width in upwards)
        self.decoder = nn.ModuleList(self._stage(2 * width, width, decoder_convs) for _, width in upwards)

    def _stage(self, inputs: int, outputs: int, convs: int, stride: int = 1) -> nn.Sequential:
        first = ConvModule(inputs, outputs, 3, stride=stride, padding=1, **self.layers)
        return nn.Sequential(first, *(ConvModule(outputs, outputs, 3, padding=1, **self.layers) for _ in range(convs - 1)))

    def forward(self, scans: Tensor) -> tuple[Tensor, ...]:
        """Compute one map a stage of scans (N, in_channels, H, W), from the deepest to the full resolution.

        Height and width are rounded up at each halving. As with MMSegmentation's ``UNet``, ``in_index=-1`` is the last.
        """
        skips = []
        features = scans
        for stage in self.encoder:
            features = stage(features)
            skips.append(features)
        maps = [skips.pop()]
        for reduce, stage in zip(self.reduce, self.decoder, strict=True):
            skip = skips.pop()
            enlarged = F.interpolate(reduce(maps[-1]), size=skip.shape[2:], mode='bilinear', align_corners=False)
            maps.append(stage(torch.cat([skip, enlarged], dim=1)))
        return tuple(maps)
