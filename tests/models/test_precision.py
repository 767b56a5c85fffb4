"""What `octfluid.models.precision` prepares for scoring does not change the scores."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.backbones.unet import InterpConv
from mmseg.registry import MODELS
from torch import nn

from octfluid.models.precision import keep_logits_float32, prepare_weights, score_in
from octfluid.models.slide_inference import use_window_batches

SIZE = (57, 75)
IMAGES = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def network():
    """A minute copy of the paper's network, in evaluation, with normalisations that do something."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    norm = dict(type='BN', requires_grad=True)
    stages = dict(num_stages=3, strides=(1, 1, 1), enc_num_convs=(1, 1, 1), dec_num_convs=(1, 1), downsamples=(True, True))
    dilations = dict(enc_dilations=(1, 1, 1), dec_dilations=(1, 1))
    head = dict(num_classes=2, norm_cfg=norm, align_corners=False, in_channels=8, channels=4)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='UNet', base_channels=8, norm_cfg=norm, **stages, **dilations),
            decode_head=dict(type='PSPHead', in_index=2, pool_scales=(1, 2, 3, 6), **head),
            test_cfg=ConfigDict(mode='slide', crop_size=(32, 32), stride=(20, 20)),
        )
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in ((module.running_var, 0.5), (module.weight, 0.5), (module.bias, -0.5)):
                nn.init.uniform_(values, low, low + 1)
    nn.init.normal_(model.decode_head.conv_seg.weight, std=0.5)
    return model.eval()


@torch.no_grad()
def probabilities(model, images):
    return model.inference(images, [dict(ori_shape=SIZE, img_shape=SIZE, pad_shape=SIZE) for _ in images]).softmax(1)


def prepared(model, precision, window_batch=4):
    model = copy.deepcopy(model)
    use_window_batches(model, window_batch)
    score_in(model, precision)
    prepare_weights(model, precision)
    return model


def test_fused_and_batched_slide_inference_is_mmsegs(network):
    expected = probabilities(network, IMAGES)
    assert expected.std() > 0.1
    model = prepared(network, 'fp32')
    torch.testing.assert_close(probabilities(model, IMAGES), expected, rtol=0, atol=1e-5)
    assert not [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    # The 1x1 convolution comes before the enlargement.
    enlarged = [module.interp_upsample for module in model.modules() if isinstance(module, InterpConv)]
    assert len(enlarged) == 2 and all(isinstance(steps[0], nn.Conv2d) for steps in enlarged)


def test_mixed_precision_is_close_and_is_not_float32(network):
    expected, found = probabilities(network, IMAGES), probabilities(prepared(network, 'bf16'), IMAGES)
    assert found.dtype == torch.float32
    assert 1e-5 < (found - expected).abs().max() < 0.1 and (found - expected).abs().mean() < 0.01
    assert ((found > 0.5) == (expected > 0.5)).float().mean() > 0.98


def test_losses_get_float32_logits_in_mixed_precision(network):
    model = copy.deepcopy(network)
    inputs, metas = torch.randn(1, 3, 32, 32), [dict(img_shape=(32, 32))]
    with torch.no_grad(), torch.autocast('cpu', dtype=torch.bfloat16):
        before = model.encode_decode(inputs, metas).dtype
        keep_logits_float32(model)
        assert (before, model.encode_decode(inputs, metas).dtype) == (torch.bfloat16, torch.float32)
