"""In which precision, and in how many windows at once, networks are scored."""

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmseg.models.backbones.unet import InterpConv
from mmseg.registry import HOOKS, MODELS
from torch import nn

from octfluid.engine import training
from octfluid.engine.config import load_config
from octfluid.engine.optim import DTYPES, prepare_weights, score_in
from octfluid.records.fingerprint import config_sha256
from octfluid.records.record import read_record, result_changing_overrides

CONFIG = Path(__file__).resolve().parents[2] / 'configs' / 'smoke' / 'phantom.py'
LAST = 'iter_12.pth'
SLIDE = {'model.test_cfg': {'mode': 'slide', 'crop_size': (32, 32), 'stride': (20, 20)}}
HOOKS_AND_SPY = {
    'custom_hooks': [dict(type=kind) for kind in ('StepSeedHook', 'PlainCheckpointHook', 'RunStateHook', 'ScoringSpy')]
}
SCORES = ('metrics', 'images', 'config_sha256', 'split_sha256', 'checkpoint_sha256', 'iterations', 'seed')


class ScoringSpy(Hook):
    """Note dtypes and batch sizes inside the network while it scores, dtypes of what labels are made of, and who slides."""

    features: set = set()  # noqa: RUF012  mmengine builds hooks itself, so a test can only read class attributes
    logits: set = set()  # noqa: RUF012
    batches: set = set()  # noqa: RUF012
    kinds: set = set()  # noqa: RUF012
    slide = None
    clock = SimpleNamespace(seconds=0)

    def before_run(self, runner):
        """Hook the network."""
        type(self).slide = runner.bare_model.__dict__.get('slide_inference')

        def note(module, _, out):
            if not module.training:
                self.features.add(out[-1].dtype)
                self.batches.add(len(out[-1]))
                self.kinds.update(map(type, module.modules()))

        runner.bare_model.backbone.register_forward_hook(note)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Note the logits; each scan takes 100 seconds of the clock."""
        self.clock.seconds += 100
        self.logits.update(sample.seg_logits.data.dtype for sample in outputs)

    after_test_iter = after_val_iter


@pytest.fixture(autouse=True)
def spy(monkeypatch):
    monkeypatch.setattr(ScoringSpy, 'features', set())
    monkeypatch.setattr(ScoringSpy, 'logits', set())
    monkeypatch.setattr(ScoringSpy, 'batches', set())
    monkeypatch.setattr(ScoringSpy, 'kinds', set())
    monkeypatch.setattr(ScoringSpy, 'slide', None)
    monkeypatch.setitem(HOOKS._module_dict, 'ScoringSpy', ScoringSpy)
    return ScoringSpy


@pytest.fixture
def score(tiny_options, hurry, on_cpu):
    """Test a checkpoint of the tiny network, in mixed precision or not."""

    def call(checkpoint, out, options=None, amp=False):
        options = {**tiny_options, **(options or {})}
        request = training.Request(str(CONFIG), str(out), options, amp=amp)
        return read_record(training.test(load_config(CONFIG, options), request, str(checkpoint)))

    return call


def same_scores(one, other):
    return {key: one[key] for key in SCORES} == {key: other[key] for key in SCORES}


@pytest.mark.parametrize(('amp', 'amp_scoring', 'mode', 'precision', 'dtype'), [
    (True, True, SLIDE, 'bf16', torch.bfloat16),
    (True, False, {}, 'fp32', torch.float32),
    (False, True, SLIDE, 'fp32', torch.float32),
])  # fmt: skip
def test_testing_repeats_a_training_s_scores(run, score, spy, tmp_path, amp, amp_scoring, mode, precision, dtype):
    options = {**HOOKS_AND_SPY, **mode, 'amp_scoring': amp_scoring, 'prepare_weights': False}
    trained = run(tmp_path / 'run', options, amp=amp)
    assert (spy.features, spy.logits) == ({dtype}, {torch.float32})
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert f'scoring  the weights after the last iteration, in {precision}, on 4 validation scans' in log
    assert trained['precision'] == ('bf16' if amp else 'fp32')
    assert sum(row['tp'] for row in trained['images']) > 0, 'scores without any hit would hide mistakes'
    tested = score(tmp_path / 'run' / LAST, tmp_path / 'out', options, amp=precision == 'bf16')
    assert (tested['precision'], tested['variant']) == (precision, '' if precision == 'fp32' else 'bf16')
    assert same_scores(tested, trained)
    assert (spy.features, spy.logits) == ({dtype}, {torch.float32})


def test_testing_in_mixed_precision_is_asked_for(score, whole, spy, tmp_path):
    found = []
    for amp in (False, True):
        spy.features.clear()
        record = score(whole[0] / LAST, tmp_path / f'{amp}', {**HOOKS_AND_SPY, 'channels_last': False}, amp=amp)
        found.append((record['precision'], set(spy.features)))
    assert found == [('fp32', {torch.float32}), ('bf16', {torch.bfloat16})]
    assert spy.logits == {torch.float32}


def test_resumed_run_that_lacks_its_scores_gets_them_in_mixed_precision(run, spy, tmp_path, monkeypatch):
    options = {**HOOKS_AND_SPY, 'amp_scoring': True}
    first = run(tmp_path / 'run', options, amp=True)
    shutil.copytree(tmp_path / 'run', tmp_path / 'copy')
    (tmp_path / 'copy' / 'train_heldout_scratch_12i_seed0.json').unlink()
    spy.features.clear()
    monkeypatch.setattr('octfluid.engine.hooks.time', SimpleNamespace(perf_counter=lambda: spy.clock.seconds))
    again = run(tmp_path / 'copy', options, amp=True, resume=True)
    assert same_scores(again, first), 'it has trained again, or scored otherwise'
    assert (spy.features, again['precision']) == ({torch.bfloat16}, 'bf16')
    earlier = torch.load(tmp_path / 'copy' / LAST, weights_only=True)['run']['wall_seconds']
    assert again['wall_seconds'] == pytest.approx(earlier + 400, abs=0.01), 'the time of scoring was not counted'


@pytest.mark.parametrize(('device', 'window_batch', 'keeps', 'expected'), [
    ('cpu', 'auto', True, 3), ('cpu', 'auto', False, 1), ('cuda', 'auto', True, 8), ('cpu', 5, False, 5),
    ('cuda', 5, True, 5), ('cpu', None, True, None), ('cuda', None, True, None),
])  # fmt: skip
def test_windows_at_once(run, spy, tmp_path, monkeypatch, device, window_batch, keeps, expected):
    monkeypatch.setattr('octfluid.engine.runner.get_device', lambda: device)
    options = {'window_batch': window_batch, 'reuse_memory': keeps, 'train_cfg.max_iters': 1}
    run(tmp_path / 'run', {**HOOKS_AND_SPY, **SLIDE, **options})
    assert (spy.slide and spy.slide.keywords['window_batch']) == expected


def test_windows_at_once_do_not_change_the_scores(run, spy, tmp_path):
    records = []
    for number in (None, 8):
        records.append(run(tmp_path / f'{number}', {**HOOKS_AND_SPY, **SLIDE, 'window_batch': number}))
        assert max(spy.batches) == (number or 1)
    assert records[0]['images'] == records[1]['images']
    assert records[0]['config_sha256'] == records[1]['config_sha256']


@pytest.mark.parametrize(('amp', 'tolerance'), [(False, 0), (True, 0.02)])
def test_prepared_weights_give_the_scores_of_those_that_are_not(whole, score, spy, tmp_path, amp, tolerance):
    found = []
    for prepare in (False, True):
        spy.kinds.clear()
        out = score(whole[0] / LAST, tmp_path / f'{prepare}', {**HOOKS_AND_SPY, 'prepare_weights': prepare}, amp=amp)
        found.append([[row[key] for key in ('tp', 'fp', 'fn', 'tn')] for row in out['images']])
        assert (nn.BatchNorm2d in spy.kinds) is not prepare
    assert sum(row[0] for row in found[0]) > 0, 'scores without any hit would hide mistakes'
    moved = np.abs(np.subtract(*found)).sum()
    assert moved / 2 <= tolerance * 4 * 64 * 64


@torch.no_grad()
@pytest.mark.parametrize('precision', ['fp32', 'bf16'])
def test_prepared_weights_have_no_batch_normalisation_and_the_same_results(tiny_options, precision):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIG, tiny_options).model).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    inputs = torch.randn(1, 3, 64, 64)
    plain = model.encode_decode(inputs, [dict(img_shape=(64, 64))])
    prepare_weights(model, precision)
    score_in(model, precision)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    kinds = {module.weight.dtype for module in model.modules() if isinstance(module, nn.Conv2d)}
    assert kinds == {DTYPES.get(precision, torch.float32)}
    prepared = model.encode_decode(inputs, [dict(img_shape=(64, 64))])
    assert prepared.dtype == torch.float32
    enlarging = [module.interp_upsample for module in model.modules() if isinstance(module, InterpConv)]
    assert enlarging
    assert all(isinstance(module[0], nn.Conv2d) for module in enlarging), 'features are enlarged before the convolution'
    assert (prepared - plain).abs().max() < (1e-4 if precision == 'fp32' else 0.05) * plain.abs().max()


@torch.no_grad()
@pytest.mark.parametrize(
    'settings',
    [
        dict(norm_cfg=dict(type='GN', num_groups=2)),
        dict(norm_cfg=None, kernel_size=3, padding=1),
        dict(norm_cfg=None, stride=2),
    ],
)
def test_what_cannot_change_places_with_an_enlargement_stays(settings):
    torch.manual_seed(0)
    module = InterpConv(8, 4, **settings).eval()
    nn.init.normal_(module.interp_upsample[1].conv.weight)
    inputs = torch.randn(1, 8, 6, 6)
    before = module(inputs)
    prepare_weights(nn.ModuleList([module]), 'fp32')
    assert isinstance(module.interp_upsample[1], ConvModule)
    torch.testing.assert_close(module(inputs), before)


def test_speed_of_scoring_is_no_part_of_what_a_run_is():
    digests = {config_sha256(load_config(CONFIG, options)) for options in ({}, {'window_batch': None}, {'amp_scoring': True})}
    assert len(digests) == 1
    # The precision of scores may change them, if little: tables keep such a run apart.
    assert result_changing_overrides({'window_batch': 4, 'amp_scoring': True}) == ['amp_scoring']


class Network(nn.Module):
    """One convolution that stands for a segmentor."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 3)

    def encode_decode(self, inputs, batch_img_metas):
        """Return logits."""
        return self.layer(inputs)


@torch.no_grad()
def test_only_prediction_changes_its_precision_and_logits_come_out_in_float32():
    torch.manual_seed(0)
    network, inputs = Network(), torch.randn(1, 3, 16, 16)
    plain = network.encode_decode(inputs, [{}])
    score_in(network, 'fp32')
    assert torch.equal(network.encode_decode(inputs, [{}]), plain)
    score_in(network, 'bf16')
    mixed = network.encode_decode(inputs, [{}])
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, mixed.bfloat16().float())
    assert 0 < (mixed - plain).abs().max() < 0.05
    assert torch.equal(network.layer(inputs), plain)
    other = copy.deepcopy(network)  # as an average of weights makes one
    nn.init.zeros_(other.layer.weight)
    assert not torch.equal(other.encode_decode(inputs, [{}]), mixed)
