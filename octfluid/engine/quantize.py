"""An exported model whose convolutions are done in whole numbers of 8 bits: smaller, faster, and not quite the same."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from octfluid.utils.errors import WorkError

CALIBRATION_SCANS = 20
"""At most so many scans, evenly spread over the data set, say which range of numbers each convolution takes."""


def quantize(content: bytes, scans: Sequence[np.ndarray]) -> bytes:
    """Return a model whose convolutions take and weigh numbers of 8 bits, one scale a channel of the weights.

    Post-training static quantization by ONNX Runtime: ranges are the least and greatest values that scans lead to. All else
    (pre-processing, resizing, probabilities) stays in float32.

    Args:
        content: An exported model.
        scans: Gray values (H, W), at least one, of those the model was made for.

    Raises:
        WorkError: The model cannot be quantized.
    """
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with tempfile.TemporaryDirectory(prefix='octfluid-int8-') as folder, _quiet():
        plain, folded, small = (Path(folder) / f'{name}.onnx' for name in ('plain', 'folded', 'small'))
        plain.write_bytes(content)
        try:
            _fold(plain, folded)
            quantize_static(
                folded, small, _Reader(_spread(scans)), quant_format=QuantFormat.QDQ,
                op_types_to_quantize=['Conv'], per_channel=True, activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
            )  # fmt: skip
        except Exception as error:
            # The runtime reports what it cannot do through many types of exception.
            raise WorkError(f'the model cannot be brought to 8 bits ({" ".join(str(error).split())[:200]})') from error
        model, before = onnx.load(small), onnx.load_from_string(content)
    _share(model.graph)
    del model.metadata_props[:]
    model.metadata_props.extend(before.metadata_props)
    model.producer_name, model.producer_version = before.producer_name, before.producer_version
    return model.SerializeToString(deterministic=True)


def _spread(scans: Sequence[np.ndarray]) -> list[np.ndarray]:
    places = np.linspace(0, len(scans) - 1, min(CALIBRATION_SCANS, len(scans))).astype(int)
    return [scans[place] for place in places]


def _fold(plain: Path, folded: Path) -> None:
    """Fold batch normalisation and casts of weights, so that only convolutions are left to quantize."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(str(plain), options, providers=['CPUExecutionProvider'])


def _share(graph: Any) -> None:
    """Keep one of equal weights: where a network sees a scan and its mirror image, folding has made two of each."""
    names: dict[bytes, str] = {}
    same: dict[str, str] = {}
    kept = []
    for tensor in graph.initializer:
        name, tensor.name = tensor.name, ''
        same[name] = names.setdefault(tensor.SerializeToString(deterministic=True), name)
        tensor.name = name
        if same[name] == name:
            kept.append(tensor)
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
    kept = [type(tensor).FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(kept)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantizer's advice off the console."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    """Gives the quantizer one scan after the other."""

    def __init__(self, scans: Sequence[np.ndarray]) -> None:
        self.left = iter(scans)

    def get_next(self) -> dict[str, Any] | None:
        scan = next(self.left, None)
        return None if scan is None else {'scan': scan[None, None].astype(np.float32)}

    def __iter__(self) -> '_Reader':
        return self

    def __next__(self) -> dict[str, Any]:
        found = self.get_next()
        if found is None:
            raise StopIteration
        return found
