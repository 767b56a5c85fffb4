import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS
from scipy import stats
from torch import nn

from octfluid.models.slide_inference import slide_inference, use_window_batches, window_starts
from octfluid.utils.errors import InputError

WINDOW, STRIDE = (24, 32), (16, 18)
# Smaller than a window, exactly one, whole strides, odd, and high and narrow: (height, width).
SIZES = [(17, 21), (24, 32), (40, 68), (57, 75), (131, 20)]


class HalvingBackbone(nn.Module):
    """Features at half the size, which the decode head must enlarge to the window's."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, inputs):
        """Return one feature map."""
        return (torch.relu(self.norm(self.down(inputs))),)


@pytest.fixture
def model(monkeypatch):
    """A minute segmentor with random weights, in evaluation."""
    monkeypatch.setitem(MODELS._module_dict, 'HalvingBackbone', HalvingBackbone)
    torch.manual_seed(0)
    sizes = dict(in_channels=6, in_index=0, channels=4, num_convs=1, num_classes=2)
    head = dict(type='FCNHead', concat_input=False, align_corners=False, **sizes)
    test_cfg = ConfigDict(mode='slide', crop_size=WINDOW, stride=STRIDE)
    model = EncoderDecoder(backbone=dict(type='HalvingBackbone'), decode_head=head, test_cfg=test_cfg).eval()
    nn.init.normal_(model.decode_head.conv_seg.weight, std=2)  # mmseg begins with logits of nearly 0, which all look right
    return model


def metas(images, size):
    return [dict(ori_shape=size, img_shape=size, pad_shape=size) for _ in range(images)]


@torch.no_grad()
def probabilities(infer, images, size):
    return infer(images, metas(len(images), size)).softmax(dim=1)


@pytest.mark.parametrize(('images', 'window_batch'), [(1, 8), (2, 1), (2, 3), (2, 1000)])
@pytest.mark.parametrize('size', SIZES)
def test_result_is_that_of_mmseg(model, size, images, window_batch):
    inputs = torch.randn(images, 3, *size)
    expected = probabilities(model.slide_inference, inputs, size)
    assert expected.std() > 0.05
    use_window_batches(model, window_batch)
    found = probabilities(model.slide_inference, inputs, size)
    assert found.shape == expected.shape == (images, 2, *size)
    assert (found - expected).abs().max() < 1e-4


def test_logits_of_16_bits_are_averaged_in_32(model):
    inputs = torch.full((1, 3, 57, 75), 1 + 2**-7, dtype=torch.bfloat16)  # three of these need more bits than bfloat16 has
    model.encode_decode = lambda inputs, metas: inputs[:, :2]
    result = slide_inference(model, inputs, metas(1, (57, 75)), 4)
    assert result.dtype == torch.float32 and (result == 1 + 2**-7).all()


def test_windows_that_leave_gaps_are_refused(model):
    model.test_cfg.stride = (30, 18)
    with pytest.raises(InputError, match='test_cfg'):
        slide_inference(model, torch.randn(1, 3, 60, 60), metas(1, (60, 60)), 4)


@torch.no_grad()
def weighted_mean(model, inputs, weight):
    """The mean of the windows' logits, pixel by pixel, with a weight (h, w) on each: brute force, in float64."""
    total, weights = torch.zeros(len(inputs), 2, *inputs.shape[2:]).double(), torch.zeros(inputs.shape[2:]).double()
    height, width = weight.shape
    for y in window_starts(inputs.shape[2], height, STRIDE[0]):
        for x in window_starts(inputs.shape[3], width, STRIDE[1]):
            part = inputs[:, :, y : y + height, x : x + width]
            logits = model.encode_decode(part, metas(len(inputs), (height, width)))
            total[:, :, y : y + height, x : x + width] += logits.double() * torch.from_numpy(weight)
            weights[y : y + height, x : x + width] += torch.from_numpy(weight)
    return total / weights


@pytest.mark.parametrize('size', SIZES)
def test_gaussian_windows_are_a_weighted_mean(model, size):
    inputs = torch.randn(2, 3, *size)
    window = [min(pixels, side) for pixels, side in zip(WINDOW, size, strict=True)]
    densities = [stats.norm.pdf(np.arange(side), (side - 1) / 2, side / 8) for side in window]
    model.test_cfg.weighting = 'gaussian'
    with torch.no_grad():
        found = slide_inference(model, inputs, metas(2, size), 3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), weighted_mean(model, inputs, np.outer(*densities)), rtol=1e-4, atol=1e-4)
    # One window alone is what it is, whatever the weights.
    alike = weighted_mean(model, inputs, np.ones(window))
    assert ((found - alike).abs().max() > 0.01) == (window != list(size))
