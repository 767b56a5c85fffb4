import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import octfluid.register  # noqa: F401
from octfluid.datasets.standardize import standardize
from octfluid.models.resample import resize


def build(seed=0, **changes):
    """A minute ScanSegmentor with random weights, in evaluation."""
    init_default_scope('mmseg')
    torch.manual_seed(seed)
    head = dict(type='FCNHead', in_channels=4, channels=4, in_index=-1, num_convs=0, concat_input=False, num_classes=2)
    cfg = dict(
        type='ScanSegmentor',
        backbone=dict(type='PlainUNet', channels=(4, 8)),
        decode_head=dict(head, dropout_ratio=0, align_corners=False),
        test_cfg=ConfigDict(mode='whole'),
    )
    model = MODELS.build({**cfg, **changes})
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=2)
    return model.eval()


@pytest.fixture
def scans():
    return torch.rand(2, 1, 37, 50, generator=torch.Generator().manual_seed(0)) * 255


@torch.no_grad()
def probability(model, scans, truth=None):
    samples = [SegDataSample() for _ in scans]
    for sample in samples if truth else ():
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, *truth, dtype=torch.long))
    results = model.predict(scans, samples)
    for result in results:
        assert torch.equal(result.pred_sem_seg.data, (result.fluid_probability.data > 0.5).long())
    return torch.stack([result.fluid_probability.data for result in results])


@torch.no_grad()
def by_hand(model, scans, size=None):
    seen = standardize(scans if size is None else resize(scans, *size))
    return model.decode_head(model.backbone(seen)).softmax(1)[:, 1:]


def test_prediction_standardises_resizes_and_returns_the_scans_own_size(scans):
    assert torch.allclose(probability(build(), scans), by_hand(build(), scans), atol=1e-6)
    size = (24, 32)
    expected = resize(by_hand(build(), scans, size), 37, 50)
    assert torch.allclose(probability(build(working_size=size), scans), expected, atol=1e-6)


def test_it_is_the_probability_that_is_brought_to_the_truths_size(scans):
    found = probability(build(), scans, truth=(10, 12))
    assert torch.allclose(found, resize(by_hand(build(), scans), 10, 12), atol=1e-6)


def test_mirroring_is_the_mean_of_both_probabilities(scans):
    plain, mirrored = by_hand(build(), scans), by_hand(build(), scans.flip(3)).flip(3)
    assert not torch.allclose(plain, mirrored, atol=1e-3)
    assert torch.allclose(probability(build(mirror=True), scans), (plain + mirrored) / 2, atol=1e-6)


@torch.no_grad()
def test_certainty_stays_finite(scans):
    """The logarithm of a probability that has been rounded to 0 would be minus infinity, and a loss of it NaN."""
    model = build(mirror=True)
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    model.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 1000.0]))
    assert model.logits(scans).isfinite().all() and (model.logits(scans).softmax(1)[:, 1] == 1).all()


def test_a_copy_mirrors_its_own_network(scans):
    """An average of weights is scored in a deep copy of the model."""
    model = build(mirror=True)
    twin = copy.deepcopy(model)
    torch.nn.init.zeros_(model.decode_head.conv_seg.weight)
    assert torch.equal(probability(twin, scans), probability(build(mirror=True), scans))


def test_an_ensemble_is_the_mean_and_no_part_of_the_weights(scans):
    first, second = build(0), build(1)
    expected = (by_hand(first, scans) + by_hand(second, scans)) / 2
    keys = list(first.state_dict())
    first.join([second])
    assert torch.allclose(probability(first, scans), expected, atol=1e-6)
    assert list(first.state_dict()) == keys


def test_windows_are_cut_from_the_standardised_scan(scans):
    """Standardised window by window, a dark corner would look like any other."""
    windows = ConfigDict(mode='slide', crop_size=(37, 25), stride=(37, 25))
    model = build(backbone=dict(type='PlainUNet', channels=(4, 8)), test_cfg=windows)
    seen = standardize(scans)
    halves = [model.decode_head(model.backbone(seen[..., part])) for part in (slice(0, 25), slice(25, 50))]
    assert torch.allclose(probability(model, scans), torch.cat(halves, 3).softmax(1)[:, 1:], atol=1e-5)


@torch.no_grad()
def test_three_equal_planes_are_one_gray_scan(scans):
    planes = scans.expand(-1, 3, -1, -1)
    assert torch.equal(probability(build(), planes), probability(build(), scans))
    colour = build(backbone=dict(type='PlainUNet', in_channels=3, channels=(4, 8)), repeat=3)
    for seen in (scans, planes):
        assert torch.equal(colour.extract_feat(seen)[-1], colour.backbone(planes)[-1])
