import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from checkpoint_changes import of_split
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import load_file

from octfluid.engine.checkpoint import describe_weights, find_initial_weights, load_weights, read_checkpoint
from octfluid.engine.config import load_config
from octfluid.engine.publish import architecture_of, publish
from octfluid.metrics.confusion import pooled_metrics
from octfluid.records.fingerprint import config_sha256
from octfluid.records.record import file_sha256, write_record
from octfluid.utils.errors import InputError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ZOO = 'pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth'


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


def build(config):
    cfg = load_config(config)
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model)


@pytest.fixture
def model(config):
    """A network whose running statistics are not those of the initialisation, in channels-last memory as after training."""
    torch.manual_seed(0)
    model = build(config).to(memory_format=torch.channels_last)
    for name, buffer in model.named_buffers():
        if name.endswith('running_var'):
            buffer.fill_(1e5)
        elif name.endswith('num_batches_tracked'):
            buffer.fill_(40_000)
    return model


@pytest.fixture
def save(tmp_path):
    def call(model, name='iter_7.pth', meta=None, **changes):
        content = dict(state_dict=model.state_dict() | changes, meta=meta or dict(iter=7, seed=3), optimizer=dict(state={}))
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return call


def test_file_card_and_weights(config, model, save, tmp_path):
    checkpoint, out = save(model), tmp_path / 'made/hrf'
    published = publish(checkpoint, out, config=config)
    digest = hashlib.sha256(published.weights.read_bytes()).hexdigest()
    assert published.weights.name == f'pspnet_unet_s5-d16_hrf_7i_{digest[:8]}.safetensors'
    assert sorted(path.name for path in out.iterdir()) == [published.card.name, published.weights.name]
    tensors = load_file(published.weights)
    assert {name: tensor.dtype for name, tensor in tensors.items()} == {n: t.dtype for n, t in model.state_dict().items()}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())
    card = json.loads(published.card.read_text())
    assert card == dict(
        dataset='HRFDataset',
        schema='octfluid.weights/1', config_sha256=config_sha256(load_config(config)), overrides={}, split='usual',
        split_sha256=None, scores=None, file=published.weights.name, sha256=digest, precision='fp32', iterations=7, seed=3,
        config='tiny.py', checkpoint=dict(name='iter_7.pth', sha256=file_sha256(checkpoint)),
        licence=dict(weights='CC BY 4.0', data='HRF, Budai et al. 2013, doi:10.1155/2013/154860: CC BY 4.0'),
    )  # fmt: skip


def test_half_weights_load_into_a_float32_network(config, model, save, tmp_path):
    published = publish(save(model), tmp_path / 'out', config=config, half=True)
    stored = load_file(published.weights)
    for name, tensor in stored.items():
        kept = name.endswith(('running_mean', 'running_var'))
        integer = name.endswith('num_batches_tracked')
        assert tensor.dtype == (torch.int64 if integer else torch.float32 if kept else torch.float16)
    assert json.loads(published.card.read_text())['precision'] == 'fp16'
    fresh = build(config)
    loaded, total = load_weights(fresh, read_checkpoint(published.weights)['state_dict'], published.weights.name)
    assert loaded == total == len(model.state_dict())
    for name, tensor in fresh.state_dict().items():
        assert tensor.dtype == model.state_dict()[name].dtype
        torch.testing.assert_close(tensor, model.state_dict()[name], rtol=1e-3, atol=1e-7)
    assert next(iter(fresh.state_dict().values())).dtype == torch.float32


def test_fine_tuning_finds_the_file_and_knows_it_for_ours(config, model, save, tmp_path):
    published = publish(save(model), tmp_path / 'hrf', config=config)
    patterns = load_config(CONFIGS / 'table2/10_crop320_wd1e-4.py').init.files
    assert find_initial_weights([str(tmp_path / Path(patterns[0]).relative_to('checkpoints'))]) == str(published.weights)
    assert describe_weights(published.weights, 1, 1).source == 'hrf-own'


def test_the_same_weights_give_the_same_file(config, model, save, tmp_path):
    first = publish(save(model), tmp_path / 'out', config=config)
    before = first.weights.read_bytes()
    again = publish(save(model, 'other.pth'), tmp_path / 'out', config=config)
    assert (again.weights, again.moved) == (first.weights, ())
    assert again.weights.read_bytes() == before
    # And a published file can be published again, if it is said how long it was trained.
    with pytest.raises(InputError, match='does not say after how many iterations'):
        publish(first.weights, tmp_path / 'twice', config=config)


def test_second_file_of_a_network_is_refused_or_replaces_the_first(config, model, save, tmp_path):
    out = tmp_path / 'out'
    first = publish(save(model), out, config=config)
    (out / 'fcn_unet_s5-d16_hrf_7i_01234567.safetensors').write_bytes(b'of another head')
    longer = save(model, 'iter_9.pth', dict(iter=9, seed=3))
    with pytest.raises(InputError, match=f'{first.weights.name}: published before.*--replace'):
        publish(longer, out, config=config)
    aside = publish(longer, out, config=config, name='trial')
    assert re.fullmatch(r'trial_9i_[0-9a-f]{8}\.safetensors', aside.weights.name)
    second = publish(longer, out, config=config, replace=True)
    assert second.moved == (out / 'superseded' / first.weights.name,)
    assert (out / 'superseded' / first.card.name).is_file()
    assert len(list(out.glob('pspnet_unet_s5-d16_*.safetensors'))) == 1
    assert len(list(out.glob('*.safetensors'))) == 3


def test_scores_come_from_the_record_of_this_very_checkpoint(config, model, save, make_record, tmp_path):
    checkpoint = save(model)
    images = make_record()['images']
    record = make_record(
        config='configs/hrf/pspnet.py', config_sha256=config_sha256(load_config(config)), iterations=7, split='usual', seed=5,
        metrics=pooled_metrics(images, ('background', 'vessel')), overrides={'data_root': 'elsewhere/hrf'},
        checkpoint_sha256=file_sha256(checkpoint),
    )  # fmt: skip
    write_record(record, tmp_path / 'record.json')
    published = publish(checkpoint, tmp_path / 'out', config=config, record=tmp_path / 'record.json')
    card = json.loads(published.card.read_text())
    assert (card['scores'], card['split_sha256'], card['seed']) == (record['metrics'], 'c' * 64, 5)
    assert card['scores']['Dice.vessel'] == pytest.approx(60 / (60 + 10 + 5 + 20))
    assert card['overrides'] == {}
    with pytest.raises(InputError, match='is the record of a checkpoint with SHA-256'):
        publish(save(model, 'other.pth', dict(iter=8)), tmp_path / 'out', config=config, record=tmp_path / 'record.json')
    write_record({**record, 'config_sha256': 'a' * 64}, tmp_path / 'record.json')
    with pytest.raises(InputError, match='differs from the config'):
        publish(checkpoint, tmp_path / 'out', config=config, record=tmp_path / 'record.json')


def test_without_a_record_the_card_says_what_the_weights_tell_of_their_training(config, model, tmp_path):
    said = of_split('usual', dataset='HRFDataset')
    said['run']['overrides'] = '{"model.decode_head.dropout_ratio": 0.3, "data_root": "elsewhere"}'
    said['run']['settings']['split'] = 'other'
    torch.save({'state_dict': model.state_dict(), **said}, tmp_path / 'iter_7.pth')
    card = json.loads(publish(tmp_path / 'iter_7.pth', tmp_path / 'out', config=config).card.read_text())
    assert (card['split'], card['overrides'], card['seed']) == ('other', {'model.decode_head.dropout_ratio': 0.3}, 3)
    said['run']['dataset'] = 'DukeDMEDataset'
    torch.save({'state_dict': model.state_dict(), **said}, tmp_path / 'iter_7.pth')
    with pytest.raises(InputError, match='is about HRFDataset, but the weights were trained on DukeDMEDataset'):
        publish(tmp_path / 'iter_7.pth', tmp_path / 'other', config=config)


def test_weights_of_the_zoo_do_not_pass_for_ours(config, model, save, tmp_path):
    published = publish(save(model, ZOO, dict(iter=40_000)), tmp_path / 'out', config=config)
    assert published.weights.name.startswith('pspnet_unet_s5-d16_zoo_40000i_')
    assert json.loads(published.card.read_text())['licence']['weights'].startswith('Apache-2.0')
    assert describe_weights(published.weights, 1, 1).source != 'hrf-own'


def test_what_is_refused(config, model, save, tmp_path):
    out = tmp_path / 'out'
    checkpoint = save(model)
    with pytest.raises(InputError, match='neither a config nor a record'):
        publish(checkpoint, out)
    with pytest.raises(InputError, match='made for another architecture'):
        publish(checkpoint, out, config=str(CONFIGS / 'smoke/phantom.py'))
    with pytest.raises(InputError, match=r"--name '\.\./x'"):
        publish(checkpoint, out, config=config, name='../x')
    name = 'decode_head.conv_seg.bias'
    with pytest.raises(InputError, match=f'{name} has values that are beyond the range of float16; publish without --half'):
        publish(save(model, 'big.pth', **{name: torch.tensor([1e6, 0.0])}), out, config=config, half=True)
    with pytest.raises(InputError, match=f'{name} holds NaN or infinite values'):
        publish(save(model, 'nan.pth', **{name: torch.tensor([float('nan'), 0.0])}), out, config=config)
    (tmp_path / 'page.pth').write_text('<html>404 Not Found</html>')
    with pytest.raises(InputError, match=r'page\.pth: is a web page, not a checkpoint'):
        publish(tmp_path / 'page.pth', out, config=config)
    assert not out.exists()


@pytest.mark.parametrize('head', ['fcn', 'pspnet', 'deeplabv3'])
def test_names_are_those_of_the_zoo(head):
    assert architecture_of(load_config(CONFIGS / f'hrf/{head}.py')) == f'{head}_unet_s5-d16'
    assert architecture_of(load_config(CONFIGS / 'smoke/phantom.py')) == 'fcn_unet_s4-d8'


def test_the_name_of_a_plain_u_net_tells_its_stages_and_depth():
    cfg = load_config(Path(__file__).parents[2] / 'configs/duke_dme/compact.py')
    assert architecture_of(cfg) == 'fcn_plain-unet_s6-d32'
