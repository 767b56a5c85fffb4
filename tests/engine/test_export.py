"""Exported models: the same as the network, complete, free of this machine, and kept only if they are right."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_scans import CONFIG, random_network, random_weights, save, scan_options, segmentor

import octfluid
from octfluid.engine import export as exports
from octfluid.engine.checkpoint import Origin
from octfluid.engine.config import load_config
from octfluid.engine.export import Agreement, compare, export, load_network, require_same_training
from octfluid.inference.model import KEYS, PREFIX, ScanModel
from octfluid.records.fingerprint import config_sha256
from octfluid.utils.errors import InputError, WorkError

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

SCORES = [dict(config='a.py', measures=dict(dice=dict(value=0.5, interval=[0.4, 0.6])))]
ROOT = CONFIG.parents[2]
COMPACT = 'configs/duke_dme/compact.py'


@pytest.fixture(scope='module')
def options(phantoms):
    # So wide that most of the file are weights.
    wide = {'model.backbone.channels': (16, 64), 'model.decode_head.in_channels': 16, 'model.decode_head.channels': 16}
    return {**scan_options(phantoms), **wide, 'model.threshold': 0.4}


@pytest.fixture(scope='module')
def exported(options, tmp_path_factory):
    """A network whose weights float16 holds exactly, its checkpoint, the file made of it, and how far the two agree."""
    folder = tmp_path_factory.mktemp('exported')
    network = random_network(options, 0)
    for tensor in network.state_dict().values():
        tensor.copy_(tensor.half())
    checkpoint = save(network, folder / 'weights.pth')
    cfg, path = load_config(CONFIG, options), folder / 'model.onnx'
    agreement = export(cfg, checkpoint, path, scores=SCORES, half=True)
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=path, agreement=agreement)


@torch.no_grad()
def by_network(network, scans):
    """The probabilities of the network's own prediction, at each scan's size."""
    results = network.predict(torch.from_numpy(scans).float()[:, None])
    return np.stack([result.fluid_probability.data[0].numpy() for result in results])


@pytest.mark.parametrize('shape', [(1, 40, 48), (3, 37, 29), (5, 101, 65), (1, 1, 1)])
def test_any_number_of_scans_of_any_size_gives_what_the_network_gives(exported, shape):
    scans = np.random.default_rng(shape[1]).integers(0, 256, shape, dtype=np.uint8)
    found = ScanModel(exported.path, threads=1).probability(scans)
    assert found.shape == shape
    assert np.abs(found - by_network(exported.network, scans)).max() < 1e-5
    assert min(shape) == 1 or np.ptp(found) > 0.2, 'a constant would prove nothing'


def test_the_file_says_all_of_itself(exported):
    assert (exported.agreement.scans, exported.agreement.real) == (12, True) and exported.agreement.difference < 1e-5
    metadata = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
    assert set(metadata) == {PREFIX + key for key in KEYS}
    info = ScanModel(exported.path, threads=1).info
    assert (info.version, info.classes, info.threshold) == (octfluid.__version__, ('background', 'fluid'), 0.4)
    assert {key: info.domain[key] for key in ('device', 'scale')} == dict(device='unknown', scale='unknown')
    assert info.weights_sha256 == hashlib.sha256(exported.checkpoint.read_bytes()).hexdigest()
    assert info.scores == SCORES
    assert info.licence == 'that of the data it was trained on'


def test_the_file_tells_nothing_of_this_machine(exported):
    content = exported.path.read_bytes()
    for place in (exported.path.parent, ROOT, torch.__path__[0], 'site-packages', 'File "', 'weights.pth'):
        assert str(place).encode() not in content, place
    assert not any(node.doc_string or node.metadata_props for node in onnx.load(exported.path).graph.node)
    # The weights of the fixture's network, more than half of the file, are stored in 16 bits.
    parameters = sum(tensor.numel() for tensor in exported.network.state_dict().values() if tensor.is_floating_point())
    assert 2 * parameters < len(content) < 4 * parameters


@pytest.mark.parametrize('kind', ['windows', pytest.param('segformer', marks=pytest.mark.slow)])
def test_any_encoder_decoder_is_exported(kind, tiny_options, tmp_path):
    config, options = segmentor(kind, tiny_options)
    if kind == 'windows':
        options['model.test_cfg'] = dict(mode='slide', crop_size=(64, 320), stride=(64, 64))
        with pytest.raises(InputError, match='mode=slide'):
            load_network(load_config(config, options), 'absent.pth')
        options['model.test_cfg'] |= dict(crop_size=(320, 320))  # one window
    weights, cfg = random_weights(config, options, tmp_path / 'w.pth'), load_config(config, options)
    found = export(cfg, weights, tmp_path / 'm.onnx', check=2)
    assert found.scans == 2 and found.real and found.difference < 1e-4
    assert ScanModel(tmp_path / 'm.onnx', threads=1).info.classes == ('background', 'fluid')


def test_a_file_that_disagrees_is_not_kept(exported, options, tmp_path, monkeypatch):
    """What is written belongs to other weights than those of the checkpoint."""
    monkeypatch.setattr(exports, '_program', lambda _: None)
    monkeypatch.setattr(exports, '_serialized', lambda *_: exported.path.read_bytes())
    other, out = save(random_network(options, 1), tmp_path / 'other.pth'), tmp_path / 'model.onnx'
    out.write_bytes(b'an earlier model')
    with pytest.raises(WorkError, match=r'model\.onnx: not written'):
        export(load_config(CONFIG, options), other, out)
    assert out.read_bytes() == b'an earlier model' and len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_exported_is_named(exported, options, tmp_path, monkeypatch):
    def convert(network, example, **_):
        try:
            network(*example)
        except ZeroDivisionError as error:
            raise RuntimeError('step 1 of 3') from error

    monkeypatch.setattr(torch.onnx, 'export', convert)
    monkeypatch.setattr(type(exported.network.decode_head), 'forward', lambda *_: 1 / 0)
    monkeypatch.setattr(exports, 'scans_of', None)  # before the work
    with pytest.raises(WorkError, match=r'segmentor\.decode_head cannot be exported to ONNX \(division by zero'):
        export(load_config(CONFIG, options), exported.checkpoint, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('config', 'changes', 'named'), [
    ('configs/duke_dme/native.py', {}, r'native\.py: .* test_cfg\.mode=slide'),
    ('configs/smoke/phantom.py', {'val_dataloader.dataset.pipeline.0.type': 'CLAHE'}, 'step CLAHE'),
    ('configs/smoke/phantom.py', {'model.data_preprocessor.test_cfg': dict(size_divisor=32)}, r'data_preprocessor\.test_cfg'),
    ('configs/smoke/phantom.py', {'model.type': 'SegTTAModel'}, 'SegTTAModel'),
])  # fmt: skip
def test_what_a_file_cannot_hold_is_named_before_the_work(config, changes, named):
    with pytest.raises(InputError, match=named):
        load_network(load_config(ROOT / config, changes), 'absent.pth')


def test_agreement_is_the_greatest_difference_and_the_share_of_other_labels():
    def probability(scans):
        found = scans / np.float32(256)
        found[0, 0, 0] += 0.1875 if scans.any() else 0.25
        found[0, 0, 1] += 0.125
        return found

    def network(scan):
        return scan / 256

    model = SimpleNamespace(probability=probability, info=SimpleNamespace(threshold=0.4))
    # The first pixel rises most, from 0 in the one scan; in the other less, but across the threshold.
    scans = [np.zeros((4, 5), np.uint8), np.full((2, 5), 64, np.uint8)]
    assert compare(network, model, scans, True) == Agreement(2, True, 0.25, 1 / 30)


def record(name, split='subject03', **changes):
    digest = config_sha256(load_config(ROOT / name, split=split))
    return Path('r.json'), {'config': name, 'split': split, 'config_sha256': digest, 'iterations': 900, **changes}


def test_records_of_one_recipe_may_speak_for_the_model():
    validated = [record(COMPACT), record(COMPACT, 'paper'), record('configs/duke_dme/compact_paper256.py', 'paper')]
    assert len({one['config_sha256'] for _, one in validated}) == 3  # what they are scored on differs
    require_same_training(
        load_config(ROOT / COMPACT, split='all'), validated, Origin(iterations=900, overrides={'train_cfg.max_iters': 900})
    )


@pytest.mark.parametrize(('name', 'changes', 'origin', 'named'), [
    ('configs/duke_dme/steps/8_mirror.py', {}, None, 'param_scheduler, train_cfg'),
    (COMPACT, dict(config_sha256='0' * 64), None, 'changed since'),
    (COMPACT, {}, Origin(iterations=300), 'iterations'),
    (COMPACT, {}, Origin(overrides={'model.threshold': 0.3}), r'model\.threshold'),
])  # fmt: skip
def test_other_records_may_not(name, changes, origin, named):
    with pytest.raises(InputError, match=named):
        require_same_training(load_config(ROOT / COMPACT), [record(COMPACT), record(name, **changes)][-1:], origin)
