"""Slide inference that takes the windows of an image in batches.

MMSegmentation's own runs the network on one window at a time and pads the logits of each to the whole image; for an image of
some hundred windows both take long. The result is the same up to rounding.
"""

from functools import partial

import torch
from mmseg.models import EncoderDecoder
from torch import Tensor, nn

from octfluid.utils.errors import InputError


def window_starts(size: int, window: int, stride: int) -> list[int]:
    """Return the first pixel of each window along one side of an image, as MMSegmentation places them.

    The last window is moved back to end with the image; an image smaller than a window has one, of its own size.
    """
    number = max(size - window + stride - 1, 0) // stride + 1
    return [max(min(index * stride + window, size) - window, 0) for index in range(number)]


def window_profile(window: int, weighting: str | None, like: Tensor) -> Tensor:
    """Return how much each pixel of a window counts along one side: (window,), all above 0, dtype and device of ``like``.

    With ``weighting='gaussian'`` a Gaussian around the window's middle with a standard deviation of an eighth of the window, as
    in nnU-Net, because a network sees least of what surrounds the pixels at a window's edge; with None all the same.
    """
    if weighting is None:
        return like.new_ones(window)
    distance = torch.arange(window, dtype=like.dtype, device=like.device) - (window - 1) / 2
    return torch.exp(-0.5 * (distance / (window / 8)).square())


def _covering(starts: list[int], profile: Tensor, size: int) -> Tensor:
    window = len(profile)
    total = profile.new_zeros(size)
    for start in starts:
        total[start : start + window] += profile
    if not total.all():
        raise InputError(
            f'model.test_cfg: windows of {window} pixels at {starts[0]}, {starts[1]}, ... leave gaps; '
            'expected a stride that is at most crop_size'
        )
    return total


def slide_inference(model: nn.Module, inputs: Tensor, batch_img_metas: list[dict], window_batch: int) -> Tensor:
    """Average a segmentor's logits over overlapping windows, several windows a forward pass.

    Args:
        model: A segmentor with ``encode_decode``, ``out_channels``, and ``test_cfg`` with ``crop_size`` and ``stride``, and
            ``weighting`` if not all pixels of a window shall count the same (see `window_profile`).
        inputs: (N, C, H, W), any float type.
        batch_img_metas: One dict of meta information an image. As in MMSegmentation, ``img_shape`` of the first becomes the
            window's size, which tells the decode head what size to bring its logits to.
        window_batch: Windows in one forward pass, at least 1, those of all images together; an N above it goes through whole.

    Returns:
        Logits, (N, out_channels, H, W), summed and averaged in float32 (float64 for float64 inputs).

    Raises:
        InputError: The stride is so large that windows leave gaps.
    """
    images, _, *size = inputs.shape
    window = torch.Size(min(pixels, side) for pixels, side in zip(model.test_cfg.crop_size, size, strict=True))
    rows, columns = map(window_starts, size, window, model.test_cfg.stride)
    total = inputs.new_zeros((images, model.out_channels, *size), dtype=torch.promote_types(inputs.dtype, torch.float32))
    profiles = [window_profile(side, model.test_cfg.get('weighting'), total) for side in window]
    per_row, per_column = map(_covering, (rows, columns), profiles, size)
    weight = profiles[0][:, None] * profiles[1]
    batch_img_metas[0]['img_shape'] = window
    places = [(..., slice(y, y + window[0]), slice(x, x + window[1])) for y in rows for x in columns]
    at_once = max(window_batch // images, 1)
    for first in range(0, len(places), at_once):
        batch = places[first : first + at_once]
        logits = model.encode_decode(torch.cat([inputs[place] for place in batch]), batch_img_metas * len(batch))
        for place, window_logits in zip(batch, logits.split(images), strict=True):
            total[place] += window_logits * weight
    return total.div_(per_row[:, None] * per_column)


def use_window_batches(model: nn.Module, window_batch: int) -> None:
    """Give a built segmentor this module's slide inference; inference of whole images stays as it is.

    Args:
        model: An mmseg segmentor, changed in place. One whose class brings a slide inference of its own keeps that.
        window_batch: Windows in one forward pass, at least 1.
    """
    if getattr(type(model), 'slide_inference', None) is EncoderDecoder.slide_inference:
        # A partial, unlike a closure, follows its model into a deep copy, such as that of an average of weights.
        model.slide_inference = partial(slide_inference, model, window_batch=window_batch)
