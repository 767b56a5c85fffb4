import copy
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.models.losses import CrossEntropyLoss
from mmseg.registry import MODELS
from torch import nn

from octfluid.engine.config import load_config
from octfluid.models.deterministic import AveragePool, use_deterministic_operators

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('size', [1, 2, 3, 6, (3, 5)])
@pytest.mark.parametrize('shape', [(2, 3, 6, 6), (1, 2, 7, 13), (1, 1, 3, 2)])
def test_pooling_is_pytorch_s_with_its_gradient(size, shape):
    torch.manual_seed(0)
    ours, theirs = (torch.randn(shape, dtype=torch.float64, generator=torch.manual_seed(1)).requires_grad_() for _ in range(2))
    found, expected = AveragePool(size)(ours), nn.AdaptiveAvgPool2d(size)(theirs)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(found.shape, dtype=torch.float64)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-12)


# With class weights mmseg's average over pixels that are not ignored fails.
@pytest.mark.parametrize(('class_weight', 'avg_non_ignore'), [(None, False), (None, True), ([0.25, 3.0], False)])
@pytest.mark.parametrize('weighted', [False, True])
def test_cross_entropy_is_mmseg_s_with_its_gradient(class_weight, avg_non_ignore, weighted):
    torch.manual_seed(0)
    labels = torch.randint(0, 2, (2, 5, 7))
    if class_weight is None:
        labels[0, 0, :3] = 255
    loss = CrossEntropyLoss(class_weight=class_weight, avg_non_ignore=avg_non_ignore)
    replaced = nn.Sequential(copy.deepcopy(loss))
    use_deterministic_operators(replaced)
    one = torch.randn(2, 2, 5, 7, dtype=torch.float32).requires_grad_()
    two = one.detach().clone().requires_grad_()
    weight = torch.rand(2, 5, 7) if weighted else None
    options = dict(weight=weight, ignore_index=255)
    torch.testing.assert_close(replaced[0](one, labels, **options), loss(two, labels, **options))
    replaced[0](one, labels, **options).backward()
    loss(two, labels, **options).backward()
    torch.testing.assert_close(one.grad, two.grad)
    each = replaced[0](one, labels, reduction_override='none', **options)
    torch.testing.assert_close(each, loss(two, labels, reduction_override='none', **options))


@pytest.mark.parametrize('config', ['ablations/deeplabv3_head.py', 'table2/10_crop320_wd1e-4.py'])
def test_the_network_has_the_same_weights_and_loses_nothing(config):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    options = {'model.backbone.base_channels': 4, 'model.decode_head.in_channels': 4, 'model.auxiliary_head.in_channels': 8}
    model = MODELS.build(load_config(ROOT / 'configs' / config, options).model).eval()
    replaced = copy.deepcopy(model)
    use_deterministic_operators(replaced)
    assert replaced.state_dict().keys() == model.state_dict().keys()
    assert any(isinstance(part, AveragePool) for part in replaced.modules())
    assert not any(isinstance(part, nn.AdaptiveAvgPool2d) for part in replaced.modules())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(replaced._forward(images), model._forward(images), rtol=1e-4, atol=1e-5)
