"""A trained segmentor with all its preprocessing: raw scans in, the probability of fluid out, as it is exported."""

import torch
from torch import Tensor, nn

from octfluid.models.resample import resize
from octfluid.models.slide_inference import window_profile, window_starts


class ScanSegmentorProbability(nn.Module):
    """Raw scans (N, 1, H, W) to the probability of fluid (N, 1, H, W); a `ScanSegmentor` does its own preprocessing."""

    def __init__(self, segmentor: nn.Module) -> None:
        super().__init__()
        self.segmentor, self.threshold = segmentor, segmentor.threshold

    def forward(self, scan: Tensor) -> Tensor:
        """Return the probability of fluid."""
        return resize(self.segmentor.foreground(scan), scan.shape[2], scan.shape[3]).clamp(0, 1)


class EncoderDecoderProbability(nn.Module):
    """The same for any `EncoderDecoder`, with the resize of the test pipeline and the data preprocessor's mean and std.

    Windows of slide inference go through the network as one batch.
    """

    def __init__(self, segmentor: nn.Module, channels: int, size: tuple[int, int] | None, threshold: float = 0.5) -> None:
        super().__init__()
        self.segmentor, self.channels, self.size, self.places, self.threshold = segmentor, channels, size, None, threshold
        if segmentor.test_cfg.mode == 'slide':
            window = [min(pixels, side) for pixels, side in zip(segmentor.test_cfg.crop_size, size, strict=True)]
            rows, columns = map(window_starts, size, window, segmentor.test_cfg.stride)
            high, wide = (window_profile(side, segmentor.test_cfg.get('weighting'), torch.ones(1)) for side in window)
            self.places, self.window = [(y, x) for y in rows for x in columns], tuple(window)
            self.register_buffer('weight', high[:, None] * wide)
            self.register_buffer('total', sum(self._placed(self.weight, place) for place in self.places))

    def _placed(self, values: Tensor, place: tuple[int, int]) -> Tensor:
        (y, x), (height, width) = place, self.window
        return nn.functional.pad(values, (x, self.size[1] - x - width, y, self.size[0] - y - height))

    def _logits(self, images: Tensor) -> Tensor:
        if self.places is None:
            shape = tuple(images.shape[2:])
            return self.segmentor.encode_decode(images, [dict(ori_shape=shape, img_shape=shape, pad_shape=shape)])
        height, width = self.window
        windows = torch.cat([images[:, :, y : y + height, x : x + width] for y, x in self.places])
        logits = self.segmentor.encode_decode(windows, [dict(img_shape=self.window, pad_shape=self.window)])
        logits = logits.unflatten(0, (len(self.places), -1)) * self.weight
        return sum(self._placed(logits[index], place) for index, place in enumerate(self.places)) / self.total

    def forward(self, scan: Tensor) -> Tensor:
        """Return the probability of fluid."""
        size, images = scan.shape[2:], scan
        if self.size is not None:
            images = nn.functional.interpolate(images, self.size, mode='bilinear')
        images = images.expand(-1, self.channels, -1, -1)
        preprocessor = self.segmentor.data_preprocessor
        if preprocessor._enable_normalize:
            images = (images - preprocessor.mean) / preprocessor.std
        logits = self._logits(images)
        logits = nn.functional.interpolate(logits, size, mode='bilinear', align_corners=self.segmentor.align_corners)
        if logits.shape[1] > 1:  # of several classes of fluid, the likeliest against background
            logits = logits[:, 1:].amax(dim=1, keepdim=True) - logits[:, :1]
        return logits.sigmoid()
