import numpy as np
import pytest

from octfluid.inference.external import wants_other_files
from octfluid.inference.model import shipped_model

onnx = pytest.importorskip('onnx')


def test_the_shipped_model_wants_none():
    assert not wants_other_files(shipped_model().read_bytes())


def tensor(external):
    made = onnx.numpy_helper.from_array(np.ones(3, np.float32), 'w')
    if external:
        made.ClearField('raw_data')
        made.data_location = onnx.TensorProto.EXTERNAL
        made.external_data.add(key='location', value='w.bin')
    return made


def graph(**parts):
    return onnx.GraphProto(name='g', **parts)


def node(**attribute):
    return onnx.NodeProto(op_type='X', attribute=[onnx.AttributeProto(name='a', **attribute)])


@pytest.mark.parametrize('external', [False, True])
@pytest.mark.parametrize('place', [
    'initializer', 'sparse', 'attribute', 'list', 'branch', 'branches', 'function', 'training', 'sparse attribute',
])  # fmt: skip
def test_a_tensor_elsewhere_is_found_wherever_it_is(place, external):
    held = tensor(external)
    sparse = onnx.SparseTensorProto(values=held)
    model = {
        'initializer': dict(graph=graph(initializer=[held])),
        'sparse': dict(graph=graph(sparse_initializer=[sparse])),
        'attribute': dict(graph=graph(node=[node(t=held)])),
        'list': dict(graph=graph(node=[node(tensors=[held])])),
        'branch': dict(graph=graph(node=[node(g=graph(node=[node(t=held)]))])),
        'branches': dict(graph=graph(node=[node(graphs=[graph(initializer=[held])])])),
        'function': dict(functions=[onnx.FunctionProto(node=[node(t=held)])]),
        'training': dict(training_info=[onnx.TrainingInfoProto(algorithm=graph(initializer=[held]))]),
        'sparse attribute': dict(graph=graph(node=[node(sparse_tensor=sparse)])),
    }[place]
    assert wants_other_files(onnx.ModelProto(**model).SerializeToString()) is external


@pytest.mark.parametrize('content', [b'\x80' * 20, b'\x0a\x7f', b'\x0b', b'\xff'])
def test_what_is_no_protocol_buffer(content):
    with pytest.raises(ValueError, match=r'a number without an end|cut short|a field of kind'):
        wants_other_files(content)
