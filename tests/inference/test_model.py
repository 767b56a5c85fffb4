import os
import subprocess
import sys

import numpy as np
import pytest

from octfluid.inference.model import KEYS, PREFIX, ModelInfo, ScanModel
from octfluid.utils.errors import InputError

INFO = ModelInfo(
    version='1.2', classes=('background', 'fluid'), threshold=0.5, domain=dict(device='A scanner', scale='1 mm'),
    weights_sha256='ab' * 32, scores=[dict(config='a.py', measures=dict(dice=dict(value=0.5, interval=None)))], licence='Ours.',
)  # fmt: skip


def build(onnx, metadata):
    """A model whose probability is the gray value divided by 256."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ['number', 1, 'height', 'width']
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node('Mul', ['scan', 'factor'], ['probability'])], 'graph',
            [helper.make_tensor_value_info('scan', kind, shape)],
            [helper.make_tensor_value_info('probability', kind, shape)],
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

    def call(**changes):
        metadata = {**INFO.to_metadata(), **{PREFIX + key: value for key, value in changes.items()}}
        model = build(onnx, {key: value for key, value in metadata.items() if value is not None})
        path = tmp_path / 'model.onnx'
        path.write_bytes(model.SerializeToString())
        return path

    return call


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(5, 200, size, dtype=np.uint8)


def test_it_runs_without_packages_for_training_and_without_telemetry(tmp_path):
    """And the shipped model is found where another folder has the package's name."""
    (tmp_path / 'here/octfluid').mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key not in ('CI', 'ORT_DISABLE_TELEMETRY')}
    places = dict.fromkeys(('HOME', 'TMPDIR', 'XDG_CACHE_HOME'), str(tmp_path))
    code = (
        'from octfluid import Predictor; import numpy as np, sys, octfluid.inference.outputs, octfluid.webapp.cli;'
        'Predictor(threads=1).model.mask(np.zeros((1, 32, 32), "u1"));'
        'print([m for m in ("torch", "mmengine", "mmcv", "mmseg", "onnx") if m in sys.modules])'
    )
    said = subprocess.check_output([sys.executable, '-c', code], env=environment | places, cwd=tmp_path / 'here', text=True)
    assert said.strip() == '[]' and [path.name for path in tmp_path.iterdir()] == ['here']


def test_scans_become_probabilities_and_masks(write):
    model = ScanModel(write(), threads=1)
    assert model.info == INFO
    scans = np.array([[[0, 64, 128], [129, 192, 255]]] * 3, np.uint8)
    scans[2] = 0
    found = model.probability(scans)
    assert np.array_equal(found, model.probability(scans.astype(np.float64)))
    assert (found.dtype, found.shape) == (np.float32, (3, 2, 3))
    assert np.array_equal(found, scans / np.float32(256))
    # At the threshold itself there is no fluid.
    assert model.mask(scans).tolist() == [[[False, False, False], [True, True, True]]] * 2 + [[[False] * 3] * 2]


@pytest.mark.parametrize('scans', [
    np.zeros((4, 5)), np.zeros((0, 4, 5)), np.full((1, 4, 5), np.nan), np.full((1, 4, 5), 256), np.full((1, 4, 5), -1),
    np.full((1, 4, 5), 0.5), np.full((1, 4, 5), True), np.zeros((496, 768, 3), np.uint8),
])  # fmt: skip
def test_arrays_that_are_not_gray_scans_are_refused(write, scans):
    with pytest.raises(InputError, match='expected'):
        ScanModel(write(), threads=1).probability(scans)


def test_a_model_with_weights_in_another_file_is_refused(write, tmp_path, monkeypatch):
    import onnx

    onnx.save_model(onnx.load(write()), tmp_path / 'a.onnx', save_as_external_data=True, location='w.bin', size_threshold=0)
    assert (tmp_path / 'w.bin').is_file()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r'a\.onnx'):
        ScanModel('a.onnx')


@pytest.mark.parametrize('changes', [
    *({key: None} for key in KEYS), dict(threshold='half'), dict(scores='[1, 2'), dict(threshold='NaN'),
    dict(classes='["fluid"]'), dict(classes='5'), dict(domain='["a scanner"]'),
])  # fmt: skip
def test_metadata_that_are_missing_or_damaged_are_refused(write, changes):
    ((key, value),) = changes.items()
    with pytest.raises(InputError, match='metadata' if value else rf'octfluid\.{key}'):
        ScanModel(write(**changes))


def test_a_volume_goes_through_a_few_scans_at_a_time(write, monkeypatch):
    given, fed = noise(9, 64, 96), []
    model = ScanModel(write(), threads=1)
    run = model._run
    monkeypatch.setattr(model, '_run', lambda scans: fed.append(len(scans)) or run(scans))
    np.testing.assert_array_equal(list(model.stream(given)), given / np.float32(256))
    assert fed == [4, 4, 1] and list(model.stream([])) == []
