"""Whether an ONNX file wants weights from other files; told from its bytes, as prediction does without the package onnx."""

from collections.abc import Iterator

_LONGEST = 10  # bytes of a number
# Messages of ONNX by field, as far as they lead to tensors: model, graph, node, attribute, function, sparse tensor, tensor.
_WITHIN: dict[str, dict[int, str]] = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'function': {7: 'node', 11: 'attribute'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14


def wants_other_files(content: bytes) -> bool:
    """Tell whether any tensor of a model says that its numbers lie elsewhere.

    Args:
        content: Of an ONNX file.

    Raises:
        ValueError: It is no protocol buffer.
    """
    waiting = [('model', memoryview(content))]
    while waiting:
        kind, message = waiting.pop()
        for field, value in _fields(message):
            if kind == 'tensor' and (field == _EXTERNAL_DATA or (field == _DATA_LOCATION and value != 0)):
                return True
            if field in _WITHIN.get(kind, {}) and isinstance(value, memoryview):
                waiting.append((_WITHIN[kind][field], value))
    return False


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a message."""
    place = 0
    while place < len(message):
        key, place = _number(message, place)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _number(message, place)
            yield field, value
            continue
        if wire == 2:
            size, place = _number(message, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f'a field of kind {wire}')
        if place + size > len(message):
            raise ValueError('cut short')
        yield field, message[place : place + size]
        place += size


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number and the place after it."""
    value = 0
    for shift in range(_LONGEST):
        if place >= len(message):
            break
        byte = message[place]
        value |= (byte & 0x7F) << (7 * shift)
        place += 1
        if byte < 0x80:
            return value, place
    raise ValueError('a number without an end')
