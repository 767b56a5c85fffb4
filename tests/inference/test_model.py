import os
import subprocess
import sys

import numpy as np
import pytest

from octfluid.inference.model import KEYS, PREFIX, ModelInfo, ScanModel
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


@pytest.fixture(scope='module')
def shipped():
    return ScanModel(threads=1)


def noise(*size, seed=0):
    return np.random.default_rng(seed).integers(5, 200, size, dtype=np.uint8)


def test_inference_imports_no_package_for_training():
    code = (
        'import sys, octfluid.inference.outputs, octfluid.webapp.session;'
        'print([m for m in ("torch", "mmengine", "mmcv", "mmseg", "onnx") if m in sys.modules])'
    )
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_the_runtime_leaves_no_telemetry(tmp_path):
    """And the shipped model is found where another folder has the package's name."""
    (tmp_path / 'here/octfluid').mkdir(parents=True)
    environment = {key: value for key, value in os.environ.items() if key not in ('CI', 'ORT_DISABLE_TELEMETRY')}
    places = dict.fromkeys(('HOME', 'TMPDIR', 'XDG_CACHE_HOME'), str(tmp_path))
    code = 'from octfluid import Predictor; import numpy as np; Predictor(threads=1).model.mask(np.zeros((1, 32, 32), "u1"))'
    subprocess.run([sys.executable, '-c', code], env=environment | places, cwd=tmp_path / 'here', check=True)
    assert [path.name for path in tmp_path.iterdir()] == ['here']


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


@pytest.mark.parametrize('dtype', [np.float64, np.float32, np.int16, np.uint16])
def test_gray_values_of_any_type_and_layout_give_the_same(write, dtype):
    scans = np.arange(100, dtype=dtype).reshape(2, 5, 10)[:, ::-1, ::2]
    assert np.array_equal(ScanModel(write(), threads=1).probability(scans), scans.astype(np.float32) / 256)


@pytest.mark.parametrize('scans', [
    np.zeros((4, 5)), np.zeros((1, 1, 4, 5)), np.zeros((0, 4, 5)), np.zeros((1, 4, 0)), np.full((1, 4, 5), np.nan),
    np.where(np.eye(5), -np.inf, 7.0)[None], np.full((1, 4, 5), 256), np.full((1, 4, 5), -1), np.full((1, 4, 5), 0.5),
    np.full((1, 4, 5), True), np.full((1, 4, 5), 1j), np.array([[['a']]]), np.zeros((496, 768, 3), np.uint8),
])  # fmt: skip
def test_arrays_that_are_not_gray_scans_are_refused(write, scans):
    with pytest.raises(InputError, match='expected'):
        ScanModel(write(), threads=1).probability(scans)


def test_a_bad_scan_of_a_stream_is_named_by_its_place(shipped):
    for bad in (np.zeros((4, 5, 3), np.uint8), np.zeros((0, 5)), np.full((32, 32), np.nan)):
        with pytest.raises(InputError, match='scan 1'):
            list(shipped.stream([noise(32, 32), bad]))
    with pytest.raises(InputError, match='scan 1'):
        list(shipped.stream([np.zeros((32, 32)), noise(32, 32) / 255]))  # the first is empty, not a fraction
    assert len(list(shipped.stream([noise(32, 32).astype(float), np.full((32, 32), 0.5)]))) == 2


class Fake:
    """A session that fails, or returns another size."""

    def __init__(self, outcome):
        self.outcome = outcome

    def run(self, *_):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return [self.outcome]


@pytest.mark.parametrize(('outcome', 'said'), [
    (RuntimeError('no\nreason'), r'model\.onnx: failed on scans of shape \(1, 2, 3\)'),
    (RuntimeError('bfc_arena.cc:360 Failed to allocate memory for requested buffer'), 'more memory than there is'),
    (np.zeros((1, 1, 2, 2), np.float32), r'gave \(1, 2, 2\) for scans of shape \(1, 2, 3\)'),
])  # fmt: skip
def test_a_runtime_that_fails_is_a_failure_of_the_work(write, outcome, said):
    model = ScanModel(write(), threads=1)
    model.session = Fake(outcome)
    with pytest.raises(WorkError, match=said):
        model.probability(np.zeros((1, 2, 3)))


@pytest.mark.parametrize('content', [None, b'', b'garbage\nand more', b'<html>\n</html>', 'cut'])
def test_files_that_are_not_models_are_refused(tmp_path, write, content):
    path = tmp_path / 'bad.onnx'
    if content is not None:
        path.write_bytes(write().read_bytes()[:-150] if content == 'cut' else content)
    with pytest.raises(InputError, match=r'bad\.onnx: ') as caught:
        ScanModel(path)
    assert '\n' not in str(caught.value)


def test_a_model_with_weights_in_another_file_is_refused(write, tmp_path, monkeypatch):
    import onnx

    onnx.save_model(onnx.load(write()), tmp_path / 'a.onnx', save_as_external_data=True, location='w.bin', size_threshold=0)
    assert (tmp_path / 'w.bin').is_file()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r'a\.onnx'):
        ScanModel('a.onnx')


@pytest.mark.parametrize('key', KEYS)
def test_each_entry_of_the_metadata_is_needed(write, key):
    with pytest.raises(InputError, match=rf'octfluid\.{key}'):
        ScanModel(write(**{key: None}))


@pytest.mark.parametrize('changes', [
    dict(threshold='half'), dict(scores='[1, 2'), dict(threshold='1.5'), dict(threshold='NaN'), dict(classes='["fluid"]'),
    dict(classes='5'), dict(classes='[1, 2]'), dict(domain='["a scanner"]'), dict(scores='null'),
])  # fmt: skip
def test_damaged_metadata_are_refused(write, changes):
    with pytest.raises(InputError, match='metadata are damaged'):
        ScanModel(write(**changes))


@pytest.mark.parametrize('names', [('image', 'probability'), ('scan', 'logits')])
def test_other_inputs_and_outputs_are_refused(write, names):
    with pytest.raises(InputError, match="expected 'scan' and 'probability'"):
        ScanModel(write(names))


@pytest.mark.parametrize('threads', [-1, 10**6, 1.5, '2', None])
def test_threads_that_are_not_a_number_of_threads(threads):
    with pytest.raises(InputError, match='threads'):
        ScanModel(threads=threads)


def test_a_volume_goes_through_a_few_scans_at_a_time(shipped, monkeypatch):
    given, taken, fed = noise(9, 64, 96), [], []
    expected = np.concatenate([shipped.probability(scan[None]) for scan in given])
    session = shipped.session

    class Watched:
        def run(self, names, feed):
            fed.append(len(feed['scan']))
            return session.run(names, feed)

    monkeypatch.setattr(shipped, 'session', Watched())
    for done, one in enumerate(shipped.stream(scan for scan in given if taken.append(1) is None)):
        assert len(taken) <= done + 6
        np.testing.assert_allclose(one, expected[done], atol=1e-5)
    assert fed == [4, 4, 1] and list(shipped.stream([])) == []


def test_sizes_in_a_stream_may_differ_and_order_stays(shipped):
    scans = [noise(40, 56), noise(40, 56, seed=1), noise(33, 70), noise(40, 56, seed=2)]
    for one, scan in zip(shipped.stream(scans), scans, strict=True):
        np.testing.assert_allclose(one, shipped.probability(scan[None])[0], atol=1e-5)


@pytest.mark.parametrize('value', [0, 1, 100, 255])
def test_an_empty_frame_holds_no_fluid(shipped, value):
    assert not shipped.probability(np.full((2, 64, 96), value, np.uint8)).any()
