"""Exported models: the same as the network, complete, free of this machine, and kept only if they are right."""

import hashlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_scans import CONFIG, random_network, save, scan_options

import octfluid
from octfluid.engine import export as exports
from octfluid.engine.config import load_config
from octfluid.engine.export import Agreement, compare, export, scans_of
from octfluid.inference.model import KEYS, PREFIX, ScanModel
from octfluid.models.resample import resize
from octfluid.utils.errors import InputError, WorkError

onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxscript')

SCORES = [dict(config='a.py', measures=dict(dice=dict(value=0.5, interval=[0.4, 0.6])))]
ROOT = CONFIG.parents[2]


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
    agreement = export(load_config(CONFIG, options), checkpoint, folder / 'model.onnx', scores=SCORES)
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=folder / 'model.onnx', agreement=agreement)


@torch.no_grad()
def by_network(network, scans):
    """The probabilities of the network's own prediction, at each scan's size."""
    results = network.predict(torch.from_numpy(scans).float()[:, None])
    return np.stack([result.fluid_probability.data[0].numpy() for result in results])


@pytest.mark.parametrize('shape', [(1, 40, 48), (1, 33, 51), (3, 37, 29), (3, 101, 97), (5, 64, 65), (1, 1, 1)])
def test_any_number_of_scans_of_any_size_gives_what_the_network_gives(exported, shape):
    scans = np.random.default_rng(shape[1]).integers(0, 256, shape, dtype=np.uint8)
    found = ScanModel(exported.path, threads=1).probability(scans)
    assert found.shape == shape
    assert np.abs(found - by_network(exported.network, scans)).max() < 1e-5
    assert min(shape) == 1 or np.ptp(found) > 0.2, 'a constant would prove nothing'


def test_it_was_compared_on_every_scan_of_the_data_set(exported):
    assert (exported.agreement.scans, exported.agreement.real) == (12, True)
    assert exported.agreement.difference < 1e-5


def test_the_file_says_all_of_itself(exported):
    metadata = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
    assert set(metadata) == {PREFIX + key for key in KEYS}
    info = ScanModel(exported.path, threads=1).info
    assert (info.version, info.classes, info.threshold) == (octfluid.__version__, ('background', 'fluid'), 0.4)
    assert {key: info.domain[key] for key in ('device', 'scale')} == dict(device='unknown', scale='unknown')
    assert info.weights_sha256 == hashlib.sha256(exported.checkpoint.read_bytes()).hexdigest()
    assert info.scores == SCORES
    assert info.licence == 'that of the data it was trained on'


def test_a_model_of_duke_dme_names_its_device_scale_and_terms(exported, options, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, '_serialized', lambda network, info, half: with_info(exported.path, info))
    duke = {**options, 'train_dataloader.dataset.type': 'DukeDMEDataset', 'val_dataloader.dataset.type': 'DukeDMEDataset'}
    export(load_config(CONFIG, duke), exported.checkpoint, tmp_path / 'duke.onnx')
    info = ScanModel(tmp_path / 'duke.onnx', threads=1).info
    assert 'Spectralis' in info.domain['device']
    assert '0.00387 mm axial' in info.domain['scale']
    assert 'research' in info.licence


def with_info(path, info):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, info.to_metadata())
    return model.SerializeToString()


def test_the_file_tells_nothing_of_this_machine(exported):
    content = exported.path.read_bytes()
    for place in (exported.path.parent, ROOT, torch.__path__[0], 'site-packages', 'File "', 'weights.pth'):
        assert str(place).encode() not in content, place
    assert not any(node.doc_string or node.metadata_props for node in onnx.load(exported.path).graph.node)


def test_weights_that_fit_are_stored_in_half_the_space_and_give_the_same(exported, options, tmp_path):
    path = tmp_path / 'half.onnx'
    export(load_config(CONFIG, options), exported.checkpoint, path, scores=SCORES, half=True)
    scans = np.random.default_rng(0).integers(0, 256, (2, 41, 60), dtype=np.uint8)
    full, halved = (ScanModel(place, threads=1) for place in (exported.path, path))
    assert np.array_equal(full.probability(scans), halved.probability(scans))
    assert full.info == halved.info
    parameters = sum(tensor.numel() for tensor in exported.network.state_dict().values())
    saved = exported.path.stat().st_size - path.stat().st_size
    assert 0.95 * 2 * parameters < saved < 2 * parameters


def test_in_8_bits_the_file_is_smaller_and_its_loss_is_measured(exported, options, tmp_path):
    path = tmp_path / 'int8.onnx'
    found = export(load_config(CONFIG, options), exported.checkpoint, path, scores=SCORES, int8=True)
    model = onnx.load(path)
    kinds = {tensor.data_type for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1000}
    assert kinds == {onnx.TensorProto.INT8}
    assert path.stat().st_size < 0.7 * exported.path.stat().st_size  # of so small a network, much is graph
    assert ScanModel(path, threads=1).info == ScanModel(exported.path, threads=1).info
    assert 0 < found.difference < 0.5 and found.pixels <= exports.MOST_DIFFERENT_PIXELS
    scans, _ = scans_of(load_config(CONFIG, options))
    truths = exports._truths_of(load_config(CONFIG, options))
    for dice, file in zip(found.dice, (exported.path, path), strict=True):
        masks = ScanModel(file, threads=1).mask(np.stack(scans))
        true = np.stack(truths) == 1
        assert dice == pytest.approx(2 * (masks & true).sum() / (masks.sum() + true.sum()), abs=1e-4)
    assert [one.shape for one in truths] == [(64, 64)] * 12 and sum(int((one == 1).sum()) for one in truths) > 100


def test_8_bits_that_lose_too_much_are_not_kept(exported, options, tmp_path, monkeypatch):
    monkeypatch.setattr(exports, 'quantize', lambda content, scans: content)
    monkeypatch.setattr(exports, 'compare', lambda *_: Agreement(12, True, 0.1, 0.0, (0.8, 0.79)))
    with pytest.raises(WorkError, match=r'8 bits take the fluid Dice on the data set from 0\.8000 to 0\.7900; expected'):
        export(load_config(CONFIG, options), exported.checkpoint, tmp_path / 'int8.onnx', int8=True)
    assert list(tmp_path.iterdir()) == []


def test_8_bits_take_the_data_set(exported, options, tmp_path):
    cfg = load_config(CONFIG, {**options, 'data_root': str(tmp_path / 'nowhere')})
    with pytest.raises(InputError, match=r'nowhere: no scans there; --int8 takes those of the config'):
        export(cfg, exported.checkpoint, tmp_path / 'int8.onnx', int8=True)
    assert list(tmp_path.iterdir()) == []


def test_pixels_that_do_not_count_are_left_out_of_the_dice():
    model = SimpleNamespace(probability=lambda scans: (scans > 0).astype(np.float32), info=SimpleNamespace(threshold=0.4))
    truth = np.array([[1, 1, 255, 0, 0]], np.uint8)
    scan = np.array([[255, 1, 255, 1, 0]], np.uint8)  # network: first and third; file: all but the last
    assert compare(Halves(), model, [scan], True, [truth]).dice == (2 * 1 / (1 + 2), 2 * 2 / (3 + 2))


def test_a_weight_that_would_lose_by_it_keeps_its_precision(exported):
    model = onnx.load(exported.path)
    large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1000]
    assert len(large) >= 3
    between = onnx.numpy_helper.to_array(large[0]).copy()
    between.flat[0] = 1 + 2**-12  # float16 has 10 bits behind the point
    large[0].CopyFrom(onnx.numpy_helper.from_array(between, large[0].name))
    names = [tensor.name for tensor in large]
    exports._store_half(model, onnx)
    after = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert np.array_equal(after[names[0]], between)
    assert after[names[0]].dtype == np.float32
    assert [after[f'{name}.half'].dtype for name in names[1:]] == [np.float16] * (len(names) - 1)


@pytest.mark.parametrize(('config', 'kind'), [
    ('duke_dme/native.py', 'ScanSegmentor with test_cfg.mode=slide'),
    ('table2/10_crop320_wd1e-4.py', 'EncoderDecoder'),
])  # fmt: skip
def test_networks_that_do_not_take_scans_whole_are_refused(exported, tmp_path, config, kind):
    with pytest.raises(InputError, match='expected a ScanSegmentor that takes scans whole') as caught:
        export(load_config(ROOT / 'configs' / config), exported.checkpoint, tmp_path / 'model.onnx')
    assert f'model.type is {kind}' in str(caught.value)
    assert '\n' not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_another_architecture_is_refused(exported, options, tmp_path):
    with pytest.raises(InputError, match=r'weights\.pth: made for another architecture'):
        export(load_config(CONFIG, {**options, 'model.backbone.channels': (16, 6)}), exported.checkpoint, tmp_path / 'm.onnx')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('bad', [Agreement(2, True, 0.5, 0.0), Agreement(2, True, 0.0, 0.5)])
@pytest.mark.parametrize('earlier', [None, b'an earlier model'])
def test_a_file_that_disagrees_is_not_kept(exported, options, tmp_path, monkeypatch, bad, earlier):
    monkeypatch.setattr(exports, '_serialized', lambda *_: exported.path.read_bytes())
    monkeypatch.setattr('octfluid.engine.export.compare', lambda *_: bad)
    out = tmp_path / 'model.onnx'
    if earlier:
        out.write_bytes(earlier)
    with pytest.raises(WorkError, match=r'model\.onnx: not written, the exported model differs from the network') as caught:
        export(load_config(CONFIG, options), exported.checkpoint, out)
    assert '\n' not in str(caught.value)
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == ([(out, earlier)] if earlier else [])


def test_a_file_of_other_weights_is_not_kept(exported, options, tmp_path, monkeypatch):
    """As above, with the comparison itself: what is written belongs to other weights than the checkpoint's."""
    monkeypatch.setattr(exports, '_serialized', lambda *_: exported.path.read_bytes())
    other = save(random_network(options, 1), tmp_path / 'other.pth')
    with pytest.raises(WorkError, match='not written'):
        export(load_config(CONFIG, options), other, tmp_path / 'model.onnx')
    assert [path.name for path in tmp_path.iterdir()] == ['other.pth']


def test_what_cannot_be_exported_is_one_line(exported, options, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError('no\nsuch operator')

    monkeypatch.setattr(torch.onnx, 'export', fail)
    with pytest.raises(WorkError, match=r'cannot be exported to ONNX \(no such operator\)'):
        export(load_config(CONFIG, options), exported.checkpoint, tmp_path / 'model.onnx')
    assert not list(tmp_path.iterdir())


class Halves(torch.nn.Module):
    """The probability is the gray value divided by 256."""

    def foreground(self, scans):
        return scans / 256


def test_agreement_is_the_greatest_difference_and_the_share_of_other_labels():
    def probability(scans):
        found = scans / np.float32(256)
        found[0, 0, 0] += 0.1875 if scans.any() else 0.25
        found[0, 0, 1] += 0.125
        return found

    model = SimpleNamespace(probability=probability, info=SimpleNamespace(threshold=0.4))
    # The first pixel rises most, from 0 in the one scan; in the other less, but across the threshold.
    scans = [np.zeros((4, 5), np.uint8), np.full((2, 5), 64, np.uint8)]
    assert compare(Halves(), model, scans, True) == Agreement(2, True, 0.25, 1 / 30)
    same = SimpleNamespace(probability=lambda scans: scans / np.float32(256), info=model.info)
    assert compare(Halves(), same, scans, False) == Agreement(2, False, 0.0, 0.0)


def test_probabilities_are_compared_at_the_scan_s_size():
    class Smaller(torch.nn.Module):
        def foreground(self, scans):
            return torch.arange(6.0).reshape(1, 1, 2, 3) / 5

    expected = resize(torch.arange(6.0).reshape(1, 1, 2, 3) / 5, 4, 7)[0].numpy()
    model = SimpleNamespace(probability=lambda scans: expected, info=SimpleNamespace(threshold=0.5))
    assert compare(Smaller(), model, [np.zeros((4, 7), np.uint8)], False).difference < 1e-6


def test_without_the_data_set_noise_of_two_sizes_is_compared(options, tmp_path):
    scans, real = scans_of(load_config(CONFIG, {**options, 'data_root': str(tmp_path / 'nowhere')}))
    assert not real
    assert [scan.shape for scan in scans] == [(64, 64), (333, 500)]
    assert all(scan.dtype == np.uint8 and scan.std() > 50 for scan in scans)
    scans, real = scans_of(load_config(CONFIG, options))
    assert real
    assert [scan.shape for scan in scans] == [(64, 64)] * 12


@pytest.mark.parametrize(('name', 'said'), [('index.csv', 'names no scan'), ('masks', 'masks of other sizes than their scans')])
def test_a_data_set_that_does_not_fit_together_stops_8_bits(options, exported, tmp_path, name, said):
    data = tmp_path / 'data'
    shutil.copytree(options['data_root'], data)
    if name == 'masks':
        mask = next(data.rglob('annotations/*.png'))
        Image.open(mask).resize((20, 30)).save(mask)
    else:
        (data / name).write_text('name,subject,slice\n')
    with pytest.raises(InputError, match=said):
        export(load_config(CONFIG, {**options, 'data_root': str(data)}), exported.checkpoint, tmp_path / 'm.onnx', int8=True)
    assert not (tmp_path / 'm.onnx').exists()
