import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import octfluid.register  # noqa: F401
from octfluid.models.mirror import use_mirror

WINDOWS = ConfigDict(mode='slide', crop_size=(20, 16), stride=(10, 8))


@pytest.fixture
def scans():
    return torch.randn(2, 1, 20, 32, generator=torch.Generator().manual_seed(0))


def build(test_cfg):
    """A minute EncoderDecoder with random weights, in evaluation."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    head = dict(type='FCNHead', in_channels=4, channels=4, in_index=-1, num_convs=0, concat_input=False, num_classes=2)
    backbone = dict(type='PlainUNet', channels=(4, 8))
    model = MODELS.build(
        dict(type='EncoderDecoder', backbone=backbone, decode_head=dict(head, align_corners=False), test_cfg=test_cfg)
    )
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2)
    return model.eval()


def metas(scans):
    return [dict(ori_shape=scans.shape[2:], img_shape=scans.shape[2:], pad_shape=scans.shape[2:]) for _ in scans]


def by_hand(model, scans):
    def network(seen):
        return model.decode_head(model.backbone(seen)).softmax(1)

    return network(scans), network(scans.flip(3)).flip(3)


@torch.no_grad()
def test_the_probability_is_the_mean_over_the_scan_and_its_mirror_image(scans):
    model = build(ConfigDict(mode='whole'))
    direct, mirrored = by_hand(model, scans)
    assert not torch.allclose(direct, mirrored, atol=1e-2)
    use_mirror(model)
    found = model.inference(scans, metas(scans)).softmax(1)
    assert found.shape == (2, 2, 20, 32)
    assert torch.allclose(found, (direct + mirrored) / 2, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize('test_cfg', [ConfigDict(mode='whole'), WINDOWS])
def test_a_mirrored_scan_has_the_mirrored_result(scans, test_cfg):
    model = build(test_cfg)
    use_mirror(model)
    found = model.inference(scans.flip(3), metas(scans)).flip(3)
    assert torch.allclose(found, model.inference(scans, metas(scans)), atol=1e-5)


@torch.no_grad()
def test_certainty_stays_finite(scans):
    """The logarithm of a probability that has been rounded to 0 would be minus infinity, and a loss of it NaN."""
    model = build(ConfigDict(mode='whole'))
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    model.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 1000.0]))
    use_mirror(model)
    logits = model.inference(scans, metas(scans))
    assert logits.isfinite().all()
    assert torch.equal(logits.softmax(1)[:, 1], torch.ones(2, 20, 32))
