"""A trained segmentor with all its preprocessing: raw scans in, the probability of fluid out, as it is exported."""

from torch import Tensor, nn

from octfluid.models.resample import resize


class ScanSegmentorProbability(nn.Module):
    """Raw scans (N, 1, H, W) to the probability of fluid (N, 1, H, W); a `ScanSegmentor` does its own preprocessing."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor, self.threshold = segmentor, segmentor.threshold

    def forward(self, scan: Tensor) -> Tensor:
        """Return the probability of fluid."""
        return resize(self.segmentor.foreground(scan), scan.shape[2], scan.shape[3]).clamp(0, 1)


class EncoderDecoderProbability(nn.Module):
    """The same for any `EncoderDecoder`, with the resize of the test pipeline and the data preprocessor's mean and std."""

    def __init__(self, segmentor: nn.Module, channels: int, size: tuple[int, int] | None, threshold: float = 0.5) -> None:
        super().__init__()
        self.segmentor, self.channels, self.size, self.threshold = segmentor, channels, size, threshold

    def forward(self, scan: Tensor) -> Tensor:
        """Return the probability of fluid."""
        size, images = scan.shape[2:], scan
        if self.size is not None:
            images = nn.functional.interpolate(images, self.size, mode='bilinear')
        images = images.expand(-1, self.channels, -1, -1)
        preprocessor = self.segmentor.data_preprocessor
        if preprocessor._enable_normalize:
            images = (images - preprocessor.mean) / preprocessor.std
        shape = tuple(images.shape[2:])
        logits = self.segmentor.encode_decode(images, [dict(ori_shape=shape, img_shape=shape, pad_shape=shape)])
        logits = nn.functional.interpolate(logits, size, mode='bilinear', align_corners=self.segmentor.align_corners)
        if logits.shape[1] > 1:  # of several classes of fluid, the likeliest against background
            logits = logits[:, 1:].amax(dim=1, keepdim=True) - logits[:, :1]
        return logits.sigmoid()
