import pytest
import torch
from mmcv.cnn import ConvModule

import octfluid.register  # noqa: F401
from octfluid.models.plain_unet import PlainUNet

WIDTHS = (4, 6, 10)


@pytest.mark.parametrize('size', [(32, 48), (33, 50), (1, 1), (7, 130)])
def test_features_of_any_size_from_deep_to_full(size):
    maps = PlainUNet(in_channels=2, channels=WIDTHS)(torch.randn(2, 2, *size))
    halved = [size]
    for _ in WIDTHS[1:]:
        halved.append(tuple((side + 1) // 2 for side in halved[-1]))
    assert [tuple(features.shape) for features in maps] == [
        (2, width, *shape) for width, shape in zip(WIDTHS[::-1], halved[::-1], strict=True)
    ]


def test_parameters_by_hand():
    """Convolutions have no bias beside a normalisation; each normalisation has two parameters a channel."""

    def stage(inputs, outputs, convs):
        return 9 * outputs * (inputs + (convs - 1) * outputs) + 2 * outputs * convs

    network = PlainUNet(in_channels=1, channels=WIDTHS, encoder_convs=2, decoder_convs=1)
    expected = stage(1, 4, 2) + stage(4, 6, 2) + stage(6, 10, 2)
    expected += (10 * 6 + 6) + stage(12, 6, 1) + (6 * 4 + 4) + stage(8, 4, 1)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


def test_normalisation_and_activation_are_the_configs():
    network = PlainUNet(
        channels=WIDTHS, norm_cfg=dict(type='GN', num_groups=2), act_cfg=dict(type='LeakyReLU', negative_slope=0.01)
    )
    kinds = {(type(m.norm).__name__, type(m.activate).__name__) for m in network.modules() if isinstance(m, ConvModule)}
    assert kinds == {('GroupNorm', 'LeakyReLU')}
