import hashlib
import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import of_split

from octfluid.engine.checkpoint import describe_weights, load_weights, read_checkpoint
from octfluid.engine.config import build_network, load_config
from octfluid.engine.publish import name_of, publish
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.fingerprint import config_sha256
from octfluid.records.provenance import source_iterations
from octfluid.records.record import write_record
from octfluid.utils.digest import file_sha256
from octfluid.utils.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
BIAS = 'decode_head.conv_seg.bias'


@pytest.fixture
def config(tmp_path):
    """`configs/hrf/pspnet.py` with a network of a few thousand parameters."""
    path = tmp_path / 'tiny.py'
    path.write_text(
        f"_base_ = '{CONFIGS / 'hrf/pspnet.py'}'\n"
        'model = dict(backbone=dict(base_channels=4), decode_head=dict(in_channels=4, channels=4),\n'
        '             auxiliary_head=dict(in_channels=8, channels=4))\n'
    )
    return str(path)


@pytest.fixture
def model(config):
    """A network whose running statistics are not those of the initialisation, in channels-last memory as after training."""
    torch.manual_seed(0)
    model = build_network(load_config(config)).to(memory_format=torch.channels_last)
    for name, buffer in model.named_buffers():
        if name.endswith('running_var'):
            buffer.fill_(1e5)
        elif name.endswith('num_batches_tracked'):
            buffer.fill_(40_000)
    return model


@pytest.fixture
def save(tmp_path):
    def call(model, name='iter_8000.pth', meta=None, **changes):
        meta = meta or dict(iter=8000, seed=3)
        content = dict(state_dict=model.state_dict() | changes, meta=meta, optimizer=dict(state={}))
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return call


def test_file_card_and_weights(config, model, save, tmp_path):
    checkpoint, out = save(model), tmp_path / 'made/hrf'
    weights = publish(checkpoint, out, config=config)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert weights.name == f'pspnet_unet_s5-d16_256x256_8k_hrf-{digest[:8]}.pth'
    assert sorted(path.name for path in out.iterdir()) == [weights.with_suffix('.json').name, weights.name]
    content = torch.load(weights, weights_only=True)
    assert content['meta'].pop('dataset_meta')['classes'] == ['background', 'vessel']
    assert content['meta'] == dict(iter=8000, seed=3) and content.keys() == {'meta', 'state_dict'}
    tensors = content['state_dict']
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {n: t.dtype for n, t in model.state_dict().items()}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())
    card = json.loads(weights.with_suffix('.json').read_text())
    assert card == dict(
        dataset='HRFDataset',
        schema='octfluid.weights/1', config_sha256=config_sha256(load_config(config)), overrides={}, split='usual',
        split_sha256=None, scores=None, file=weights.name, sha256=digest, precision='fp32', iterations=8000, seed=3,
        config='tiny.py', checkpoint=dict(name='iter_8000.pth', sha256=file_sha256(checkpoint)),
        licence=dict(weights='CC BY 4.0', data='HRF, Budai et al. 2013, doi:10.1155/2013/154860: CC BY 4.0'),
    )  # fmt: skip
    assert describe_weights(str(weights), 1, 1)['source'] == 'hrf-own'
    assert source_iterations(dict(source='hrf-own', name=weights.name)) == 8000


def test_half_weights_load_into_a_float32_network(config, model, save, tmp_path):
    weights = publish(save(model), tmp_path / 'out', config=config, half=True)
    stored = read_checkpoint(weights)['state_dict']
    for name, tensor in stored.items():
        kept = name.endswith(('running_mean', 'running_var'))
        integer = name.endswith('num_batches_tracked')
        assert tensor.dtype == (torch.int64 if integer else torch.float32 if kept else torch.float16)
    assert json.loads(weights.with_suffix('.json').read_text())['precision'] == 'fp16'
    fresh = build_network(load_config(config))
    loaded, total = load_weights(fresh, stored, weights.name)
    assert loaded == total == len(model.state_dict())
    for name, tensor in fresh.state_dict().items():
        assert tensor.dtype == model.state_dict()[name].dtype
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-3, atol=1e-7)


def test_the_same_weights_give_the_same_file_and_keep_its_card(config, model, save, tmp_path):
    out = tmp_path / 'out'
    first = publish(save(model), out, config=config)
    weights, card = first.read_bytes(), first.with_suffix('.json').read_bytes()
    assert publish(save(model), out, config=config) == first
    again = publish(save(model, 'other.pth'), tmp_path / 'again', config=config)
    assert again.read_bytes() == weights
    assert publish(first, tmp_path / 'twice', config=config, name='mine').read_bytes() == weights
    with pytest.raises(InputError, match=first.with_suffix('.json').name):
        publish(save(model, 'third.pth'), out, config=config)
    assert first.with_suffix('.json').read_bytes() == card


def test_scores_come_from_the_record_of_this_very_checkpoint(config, model, save, make_record, tmp_path):
    checkpoint = save(model)
    images = make_record()['images']
    record = make_record(
        config='configs/hrf/pspnet.py', config_sha256=config_sha256(load_config(config)), iterations=8000, split='usual',
        metrics=pooled_metrics(images, ('background', 'vessel')), overrides={'data_root': 'elsewhere/hrf'}, seed=5,
        checkpoint_sha256=file_sha256(checkpoint),
    )  # fmt: skip
    write_record(record, tmp_path / 'record.json')
    weights = publish(checkpoint, tmp_path / 'out', config=config, record=tmp_path / 'record.json')
    card = json.loads(weights.with_suffix('.json').read_text())
    assert (card['scores'], card['split_sha256'], card['seed']) == (record['metrics'], 'c' * 64, 5)
    assert card['scores']['Dice.vessel'] == pytest.approx(60 / (60 + 10 + 5 + 20))
    assert card['overrides'] == {}
    with pytest.raises(InputError, match='checkpoint_sha256'):
        publish(save(model, 'other.pth', dict(iter=8)), tmp_path / 'out', config=config, record=tmp_path / 'record.json')


def test_without_a_record_the_card_has_the_settings_of_the_checkpoint(config, model, tmp_path):
    said = of_split('usual', dataset='HRFDataset', iterations=600)
    said['run']['overrides'] = '{"model.decode_head.dropout_ratio": 0.3, "data_root": "elsewhere"}'
    said['run']['settings']['split'] = 'other'
    torch.save({'state_dict': model.state_dict(), **said}, tmp_path / 'c.pth')
    card = json.loads(publish(tmp_path / 'c.pth', tmp_path / 'out', config=config).with_suffix('.json').read_text())
    assert (card['split'], card['overrides'], card['seed']) == ('other', {'model.decode_head.dropout_ratio': 0.3}, 3)
    said['run']['dataset'] = 'DukeDMEDataset'
    torch.save({'state_dict': model.state_dict(), **said}, tmp_path / 'c.pth')
    with pytest.raises(InputError, match='HRFDataset.*DukeDMEDataset'):
        publish(tmp_path / 'c.pth', tmp_path / 'other', config=config)


def test_weights_of_the_zoo_do_not_pass_for_ours(config, model, save, tmp_path):
    saved = save(model, meta=dict(iter=40_000))
    zoo = saved.rename(tmp_path / f'pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-{file_sha256(saved)[:8]}.pth')
    weights = publish(zoo, tmp_path / 'out', config=config)
    assert json.loads(weights.with_suffix('.json').read_text())['licence']['weights'].startswith('Apache-2.0')
    assert describe_weights(str(weights), 1, 1)['source'] == 'hrf-zoo'


@pytest.mark.parametrize(('changes', 'arguments', 'named'), [
    ({}, dict(config=None), '--config or --record'),
    ({}, dict(config=str(CONFIGS / 'smoke/phantom.py')), r'iter_8000\.pth'),
    ({}, dict(name='../x'), r"--name '\.\./x'"),
    ({BIAS: torch.tensor([1e6, 0.0])}, dict(half=True), f'{BIAS} .*--half'),
    ({BIAS: torch.tensor([float('nan'), 0.0])}, {}, f'{BIAS} holds NaN'),
    (dict(meta=dict(iter=499)), {}, '--allow-short'),
    (dict(meta=dict(epoch=1)), {}, r'iter_8000\.pth'),
])  # fmt: skip
def test_what_is_refused(config, model, save, tmp_path, changes, arguments, named):
    with pytest.raises(InputError, match=named):
        publish(save(model, **changes), tmp_path / 'out', **{'config': config, **arguments})
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(('config', 'name'), [
    *((f'hrf/{head}.py', f'{head}_unet_s5-d16_256x256_7i_x') for head in ('fcn', 'pspnet', 'deeplabv3')),
    ('smoke/phantom.py', 'fcn_unet_s4-d8_192x192_7i_x'), ('duke_dme/compact.py', 'fcn_plain-unet_s6-d32_160x256_7i_x'),
])  # fmt: skip
def test_names_are_those_of_the_zoo(config, name):
    assert name_of(load_config(CONFIGS / config), 'x', 7) == name
