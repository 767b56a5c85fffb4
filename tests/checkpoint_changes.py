"""Checkpoints of our own, made up and changed: entries dropped, of another type, or tensors that are none to compute with."""

import copy

import torch

HUGE = torch.zeros(1).expand(10**6, 10**9)
LOOP = []
LOOP.append(LOOP)
LAUGHS = ['ha']
for _ in range(18):
    LAUGHS = [LAUGHS] * 10
_MISSING = object()
ODD = {
    'None': None, 'text': 'x', 'no text': '', 'bytes': b'x', 'list': [], 'dict': {}, 'list of lists': [[]], 'true': True,
    'minus one': -1, 'half': 0.5, 'zero': 0, 'not a number': float('nan'), 'infinity': float('inf'), 'huge number': 10**5000,
    'complex number': 1j, 'other keys': {0: 1, 'a': None}, 'itself': LOOP, 'lists of lists': LAUGHS, 'a set': {1},
    'tensor': torch.zeros(2, 3), 'scalar': torch.tensor(1.0), 'no values': torch.zeros(0), 'nan': torch.full((2,), torch.nan),
    'sparse': torch.eye(3).to_sparse(), 'meta': torch.zeros(3, device='meta'), 'complex': torch.zeros(2, dtype=torch.complex64),
    'bits': torch.zeros(2, dtype=torch.uint16), 'float8': torch.zeros(2).to(torch.float8_e4m3fn), 'petabytes': HUGE,
    'integers': torch.ones(4, dtype=torch.int64),
}  # fmt: skip


def of_split(split='heldout', iterations=7, seed=3, dataset='PhantomDataset'):
    """What a checkpoint of our own says of its training."""
    settings = dict(split=split, seed=seed, precision='fp32', init=None, processes=1, config='0' * 64)
    run = dict(init=None, wall_seconds=1.0, settings=settings, data_sha256=None, dataset=dataset, overrides='{}')
    return dict(run=run, meta=dict(epoch=0, iter=iterations, seed=seed))


def places(content, most=2, above=()):
    """Yield the places of all entries; of what is many times alike (weights, their states, series of values), the first few."""
    keys = list(content) if isinstance(content, dict) else range(len(content))
    alike = len(keys) > 12 and above[-1:] != (0,)  # the settings of an optimizer are many and not alike
    for key in keys[:most] if alike or above[-2:-1] == ('optimizer',) else keys:
        yield (*above, key)
        if isinstance(content[key], dict | list | tuple):
            yield from places(content[key], most, (*above, key))


def changed(content, place, value=_MISSING):
    """Return a copy of a checkpoint's content with an entry replaced or, without a value, dropped."""
    content = copy.copy(content)
    inner = content
    for key in place[:-1]:
        held = inner[key]
        inner[key] = list(held) if isinstance(held, tuple) else copy.copy(held)
        inner = inner[key]
    if value is _MISSING:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


def changes(content, most=2):
    """Yield each change of a checkpoint's content: what, and the function that makes it."""
    for place in places(content, most):
        name = '.'.join(map(str, place))
        yield f'{name} dropped', lambda place=place: changed(content, place)
        for what, value in ODD.items():
            yield f'{name} = {what}', lambda place=place, value=value: changed(content, place, value)
        if isinstance(place[-1], str):
            yield f'{name} beside a number', lambda place=place: changed(content, (*place[:-1], 7), 'x')
