import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from torch import nn

from octfluid.engine.complexity import ForwardCost, PartCost, ScanCost, cost_lines, forward_cost, network_cost, rounded
from octfluid.engine.config import load_config
from octfluid.utils.errors import InputError


class Tiny(nn.Module):
    """Two convolutions with a stride, a batch normalisation, and a head that runs in training only."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.decode_head = nn.Sequential(nn.Dropout2d(), nn.Conv2d(4, 2, 1, stride=2))
        self.auxiliary_head = nn.Conv2d(4, 2, 1)
        self.backbone[0].weight.requires_grad_(False)

    def forward(self, image):
        features = self.backbone(image)
        return (self.decode_head(features), self.auxiliary_head(features)) if self.training else self.decode_head(features)


def test_counts_are_those_made_by_hand():
    cost = forward_cost(Tiny().train(), (3, 8, 12))
    first = 8 * 12 * 4 * 3 * 3 * 3  # an output value of 3x3 pixels of 3 channels each
    normalised = 2 * 8 * 12 * 4
    second = 2 * 3 * 2 * 4  # 4x6 after pooling, 2x3 after the stride
    assert cost == ForwardCost(
        (3, 8, 12),
        dict(
            backbone=PartCost(4 * 3 * 9 + 2 * 4, 2 * 4, first + normalised),
            decode_head=PartCost(4 * 2 + 2, 4 * 2 + 2, second),
            auxiliary_head=PartCost(4 * 2 + 2, 4 * 2 + 2, 0),
        ),
        dict(conv=first + second, batch_norm=normalised),
        ('max_pool2d',),
    )
    assert cost.operations == first + normalised + second
    info = get_model_complexity_info(Tiny().eval(), (3, 8, 12), show_table=False, show_arch=False)
    assert (info['flops'], info['params']) == (cost.operations, 116 + 10 + 10)


def small(request, name='smoke/phantom', **options):
    """A config with a network so narrow that counting it takes no time."""
    narrow = {
        'model.backbone.base_channels': 4,
        'model.decode_head.in_channels': 4,
        'model.decode_head.channels': 4,
        'model.auxiliary_head.in_channels': 8,
        'model.auxiliary_head.channels': 4,
    }
    return load_config(request.config.rootpath / f'configs/{name}.py', {**narrow, **options})


def test_whole_scan_takes_one_pass_of_its_own_size(request):
    forward, scan = network_cost(small(request))
    assert forward.shape == (3, 256, 256)
    assert scan == ScanCost((256, 256), (256, 256), 1, forward.operations)
    # The first layer of all: 3 channels become 4 at every pixel, by 3x3 kernels.
    assert forward.operations > 256 * 256 * 3 * 4 * 9
    assert forward.parts['auxiliary_head'].operations == 0 < forward.parts['auxiliary_head'].parameters


def test_windows_are_those_of_the_enlarged_scan(request):
    """A scan of 256x256 is enlarged to 512x512, and windows of 256 begin at 0, 170 and 256; a shape changes the pass alone."""
    cfg = small(request, 'table2/10_crop320_wd1e-4')
    forward, scan = network_cost(cfg)
    assert forward.shape == (3, 256, 256)
    assert scan == ScanCost((512, 512), (256, 256), 9, 9 * forward.operations)
    wide, again = network_cost(cfg, (64, 128))
    assert (wide.shape, again) == ((3, 64, 128), scan)
    assert wide.by_operator['conv'] < forward.by_operator['conv'] / 7


def test_scans_smaller_than_a_window_have_one_of_their_own_size(request):
    slide = dict(mode='slide', crop_size=(64, 48), stride=(32, 48))
    sizes = {'train_dataloader.dataset.scan_size': (32, 80), 'val_dataloader.dataset.scan_size': (32, 80)}
    forward, scan = network_cost(small(request, **{'model.test_cfg': slide, **sizes}))
    assert forward.shape == (3, 32, 48)
    assert scan == ScanCost((32, 80), (32, 48), 2, 2 * forward.operations)


def test_scans_of_any_size_need_a_shape(request):
    cfg = small(request, **{'train_dataloader.dataset.scan_size': None, 'val_dataloader.dataset.scan_size': None})
    with pytest.raises(InputError, match=r'scan_size is None, .* say with --shape'):
        network_cost(cfg)
    forward, scan = network_cost(cfg, (32, 40))
    assert (forward.shape, scan) == ((3, 32, 40), None)
    assert 'one test image: not counted, since the config leaves the size of the scans open' in cost_lines(forward, scan)


def test_what_takes_more_memory_than_there_is_is_one_line(request, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr('octfluid.engine.complexity.FlopAnalyzer', full)
    with pytest.raises(InputError, match=r'^32x64 pixels .* more than the memory of this machine takes'):
        network_cost(small(request), (32, 64))


def test_what_does_not_fit_is_one_line(request):
    with pytest.raises(InputError, match=r'cannot be given 33x64 pixels \(height x width\): .*\(33, 64\) should be divisible'):
        network_cost(small(request), (33, 64))
    with pytest.raises(InputError, match=r'phantom.py: model cannot be built, .*no_such_setting'):
        network_cost(small(request, **{'model.backbone.no_such_setting': 1}))
    with pytest.raises(InputError, match=r'phantom.py: the test pipeline fails, .*NoSuchStep'):
        network_cost(small(request, **{'val_dataloader.dataset.pipeline.0.type': 'NoSuchStep'}))


def test_lines_say_what_was_counted():
    parts = dict(backbone=PartCost(1_000, 900, 2_000_000), auxiliary_head=PartCost(10, 10, 0))
    forward = ForwardCost((3, 8, 12), parts, dict(conv=1_999_000, batch_norm=1_000), ('max_pool2d',))
    *table, total, one, image, note = cost_lines(forward, ScanCost((16, 12), (8, 12), 3, 6_000_000))
    assert [line.split() for line in table] == [
        ['parameters', 'trainable', 'operations,', '8x12'],
        ['backbone', '1,000', '900', '2', 'M'],
        ['auxiliary_head', '10', '10', 'does', 'not', 'run'],
    ]
    assert total.split() == ['total', '1,010', '910', '2', 'M']
    assert len({len(line) for line in (*table, total)}) == 1
    assert one == 'one forward pass of 8x12: 2 M operations (conv 1.999 M, batch_norm 1,000)'
    assert image == 'one test image of 16x12: 6 M operations (3 windows of 8x12)'
    assert 'max_pool2d' in note and 'Auxiliary heads serve training only' in note
    assert '(whole)' in cost_lines(forward, ScanCost((8, 12), (8, 12), 1, 2_000_000))[-2]


def test_counts_are_rounded_to_four_figures():
    assert [rounded(count) for count in (999_999, 1_000_000, 49_551_560_256, 9_988_000_000_000)] == [
        '999,999', '1 M', '49.55 G', '9.988 T',
    ]  # fmt: skip
