import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from octfluid.inference.model import KEYS, PREFIX, ModelInfo, ScanModel
from octfluid.inference.predictor import Predictor
from octfluid.io.scan import Scan
from octfluid.utils.errors import InputError, WorkError

INFO = ModelInfo(
    version='1.2', classes=('background', 'fluid'), threshold=0.5, domain=dict(device='A scanner', scale='1 mm'),
    weights_sha256='ab' * 32, scores=[dict(config='a.py', measures=dict(dice=dict(value=0.5, interval=None)))], licence='Ours.',
)  # fmt: skip


def build(onnx, metadata, names=('scan', 'probability')):
    """A model whose probability is the gray value divided by 256."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ['number', 1, 'height', 'width']
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node('Mul', [names[0], 'factor'], [names[1]])], 'graph',
            [helper.make_tensor_value_info(names[0], kind, shape)],
            [helper.make_tensor_value_info(names[1], kind, shape)],
            [onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 1 / 256, np.float32), 'factor')],
        ),
        opset_imports=[helper.make_opsetid('', 20)], ir_version=10,
    )  # fmt: skip
    helper.set_model_props(model, metadata)
    return model


@pytest.fixture
def write(tmp_path):
    """Write a model file; keyword arguments replace entries of its metadata, None drops one."""
    onnx = pytest.importorskip('onnx')

    def call(names=('scan', 'probability'), **changes):
        metadata = {**INFO.to_metadata(), **{PREFIX + key: value for key, value in changes.items()}}
        model = build(onnx, {key: value for key, value in metadata.items() if value is not None}, names)
        path = tmp_path / 'model.onnx'
        path.write_bytes(model.SerializeToString())
        return path

    return call


def refusal(call, *arguments):
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_inference_needs_none_of_the_packages_for_training():
    code = (
        'import sys, octfluid.inference.model, octfluid.engine.model_card;'
        'print([m for m in ("torch", "mmengine", "mmcv", "mmseg", "onnx") if m in sys.modules])'
    )
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_metadata_survive_writing_and_reading():
    metadata = INFO.to_metadata()
    assert set(metadata) == {PREFIX + key for key in KEYS}
    assert set(map(type, metadata.values())) == {str}
    assert ModelInfo.from_metadata({**metadata, 'of': 'others'}, 'here') == INFO


def test_scans_become_probabilities_and_masks(write):
    model = ScanModel(write(), threads=1)
    assert model.info == INFO
    scans = np.array([[[0, 64, 128], [129, 192, 255]]] * 3, np.uint8)
    scans[2] = 0
    found = model.probability(scans)
    assert (found.dtype, found.shape) == (np.float32, (3, 2, 3))
    assert np.array_equal(found, scans / np.float32(256))
    # At the threshold itself there is no fluid.
    assert model.mask(scans).tolist() == [[[False, False, False], [True, True, True]]] * 2 + [[[False] * 3] * 2]
    assert model.mask(scans).dtype == bool


@pytest.mark.parametrize('dtype', [np.float64, np.float32, np.int16, np.uint16])
def test_gray_values_of_any_type_and_layout_give_the_same(write, dtype):
    scans = np.arange(100, dtype=dtype).reshape(2, 5, 10)[:, ::-1, ::2]
    assert np.array_equal(ScanModel(write(), threads=1).probability(scans), scans.astype(np.float32) / 256)


def test_the_file_s_threshold_rules(write):
    assert ScanModel(write(threshold='0.25'), threads=1).mask(np.full((1, 1, 1), 65)).all()
    assert not ScanModel(write(threshold='0.25'), threads=1).mask(np.full((1, 1, 1), 64)).any()


@pytest.mark.parametrize(('scans', 'said'), [
    (np.zeros((4, 5)), r'scans of shape (4, 5); expected (number, height, width)'),
    (np.zeros((1, 1, 4, 5)), 'scans of shape (1, 1, 4, 5)'),
    (np.zeros((0, 4, 5)), 'scans of shape (0, 4, 5)'),
    (np.zeros((1, 4, 0)), 'each at least 1'),
    (np.full((1, 4, 5), np.nan), 'scans hold NaN or infinite values'),
    (np.where(np.eye(5), -np.inf, 7.0)[None], 'expected gray values 0..255'),
])  # fmt: skip
def test_what_is_no_scan_is_refused(write, scans, said):
    assert said in refusal(ScanModel(write(), threads=1).probability, scans)


def test_a_runtime_that_fails_is_a_failure_of_the_work(write):
    class Broken:
        def run(self, *_):
            raise RuntimeError('no\nmemory')

    model = ScanModel(write(), threads=1)
    model.session = Broken()
    with pytest.raises(WorkError, match=r'model\.onnx: failed on scans of shape \(1, 2, 3\) \(no memory\)'):
        model.probability(np.zeros((1, 2, 3)))


def test_want_of_memory_is_said_as_such_and_of_which_scan(write, monkeypatch):
    predictor = Predictor(write(), threads=1)

    class Full:
        def run(self, *_):
            raise RuntimeError('bfc_arena.cc:360 ... Failed to allocate memory for requested buffer of size 12')

    predictor.model.session = Full()
    scan = Scan(Path('v.mat'), [np.zeros((40, 50), np.uint8)])
    with pytest.raises(WorkError, match=r'^v\.mat: B-scans of shape \(1, 40, 50\) take more memory than there is; end other'):
        predictor.predict_scan(scan)


def test_a_model_that_gives_another_size_is_refused(write):
    class Cutting:
        def run(self, *_):
            return [np.zeros((1, 1, 2, 2), np.float32)]

    model = ScanModel(write(), threads=1)
    model.session = Cutting()
    with pytest.raises(WorkError, match=r'gave \(1, 2, 2\) for scans of shape \(1, 2, 3\); export the model again'):
        model.probability(np.zeros((1, 2, 3)))


def test_a_model_that_may_not_be_read_is_refused(write, monkeypatch):
    def refuse(_):
        raise PermissionError(13, 'no')

    path = write()
    monkeypatch.setattr(Path, 'read_bytes', refuse)
    assert 'no permission to read it' in refusal(ScanModel, path)


def test_a_missing_file_is_refused(tmp_path):
    assert 'absent.onnx: no such model file' in refusal(ScanModel, tmp_path / 'absent.onnx')
    assert 'no such model file' in refusal(ScanModel, tmp_path)


@pytest.mark.parametrize('content', [b'', b'garbage\nand more', b'<html>\n</html>'])
def test_bytes_that_are_no_model_are_refused(tmp_path, content):
    (tmp_path / 'bad.onnx').write_bytes(content)
    said = refusal(ScanModel, tmp_path / 'bad.onnx')
    assert 'bad.onnx: not a model' in said if content == b'' else 'bad.onnx: not an ONNX file, or cut short' in said


def test_a_cut_off_file_is_refused(write):
    path = write()
    path.write_bytes(path.read_bytes()[:-150])
    assert 'model.onnx: ' in refusal(ScanModel, path)


def test_a_model_of_others_is_refused(write):
    said = refusal(ScanModel, write(**dict.fromkeys(KEYS)))
    assert 'model.onnx: not a model of octfluid, its metadata lack octfluid.version, octfluid.classes' in said


@pytest.mark.parametrize('key', KEYS)
def test_each_entry_must_be_there(write, key):
    assert f'its metadata lack octfluid.{key}; expected' in refusal(ScanModel, write(**{key: None}))


@pytest.mark.parametrize(('changes', 'said'), [
    (dict(threshold='half'), 'its metadata are damaged'),
    (dict(scores='[1, 2'), 'its metadata are damaged'),
    (dict(threshold='1.5'), 'expected two classes and a threshold between 0 and 1'),
    (dict(threshold='NaN'), 'expected two classes and a threshold between 0 and 1'),
    (dict(classes='["fluid"]'), 'expected two classes'),
    (dict(classes='5'), 'octfluid.classes is no list'),
    (dict(domain='["a scanner"]'), 'octfluid.domain is no dict'),
    (dict(scores='null'), 'octfluid.scores is no list'),
])  # fmt: skip
def test_metadata_that_make_no_sense_are_refused(write, changes, said):
    assert said in refusal(ScanModel, write(**changes))


@pytest.mark.parametrize('names', [('image', 'probability'), ('scan', 'logits')])
def test_other_inputs_and_outputs_are_refused(write, names):
    assert "expected 'scan' and 'probability'" in refusal(ScanModel, write(names))


def test_a_model_with_weights_in_another_file_is_refused(write, tmp_path):
    import onnx

    model = onnx.load(write())
    onnx.save_model(model, tmp_path / 'apart.onnx', save_as_external_data=True, location='weights.bin', size_threshold=0)
    assert (tmp_path / 'weights.bin').is_file()
    assert 'apart.onnx: wants weights from other files; refused' in refusal(ScanModel, tmp_path / 'apart.onnx')
