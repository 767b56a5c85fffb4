import numpy as np
import pytest

from octfluid.engine.quantize import _share, quantize
from octfluid.utils.errors import WorkError

onnx = pytest.importorskip('onnx')


def test_equal_weights_are_kept_once_and_found_by_all_who_use_them():
    make = onnx.helper
    values = {'a': [1.0, 2.0], 'b': [1.0, 2.0], 'c': [1.0, 3.0], 'd': [[1.0, 2.0]]}
    tensors = [onnx.numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    nodes = [make.make_node('Add', ['x', name], [f'y{name}']) for name in values]
    graph = make.make_graph(nodes, 'g', [], [], initializer=tensors)
    _share(graph)
    assert [tensor.name for tensor in graph.initializer] == ['a', 'c', 'd']
    assert [list(node.input) for node in graph.node] == [['x', 'a'], ['x', 'a'], ['x', 'c'], ['x', 'd']]
    assert onnx.numpy_helper.to_array(graph.initializer[1]).tolist() == [1.0, 3.0]


def test_what_cannot_be_quantized_is_one_line():
    with pytest.raises(WorkError, match='the model cannot be brought to 8 bits') as caught:
        quantize(b'no model', [np.zeros((4, 4), np.uint8)])
    assert '\n' not in str(caught.value)
