"""Every reader answers a damaged file with a result or an `InputError`, in little time and memory."""

import gzip
import io
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
pytest.importorskip('onnx')
if not Path('/proc/self/statm').exists():
    pytest.skip('memory is limited as Linux does it', allow_module_level=True)
from faults.limited import outcomes
from faults.mutations import change
from fuzz_targets import GRAY, TARGETS
from PIL import Image
from vol_files import vol_bytes

pytestmark = pytest.mark.slow
NUMBER = 40  # changed files of a kind
MEGA = 1 << 20


@pytest.mark.parametrize('name', TARGETS)
def test_changed_files(name, tmp_path):
    target, rng = TARGETS[name], random.Random(name)
    seeds = target.seeds(tmp_path)
    good = tmp_path / f'good{target.suffix}'
    good.write_bytes(target.pack(seeds[0]))
    paths = [tmp_path / f'{number}{target.suffix}' for number in range(NUMBER)]
    for path in paths:
        path.write_bytes(target.pack(change(rng, seeds, target.words)))
    found = outcomes(name, good, paths)
    assert {path: outcome for path, outcome in found.items() if outcome not in ('read', 'InputError')} == {}
    counts = Counter(found.values())
    assert counts['InputError'] and (counts['read'] or name in ('model', 'record')), 'too small or too large changes'


def _gzip_of_zeros(start, megabytes):
    """Return `start` and zeros as a gzip file of about a thousandth of their size."""
    return gzip.compress(start, 1) + gzip.compress(bytes(16 * MEGA), 9) * (megabytes // 16)


def _nifti(shape):
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.uint8)
    header['magic'], header['vox_offset'] = b'n+1', 352
    return header.binaryblock + bytes(4)


def _png():
    stream = io.BytesIO()
    Image.new('1', (30_000, 30_000)).save(stream, 'PNG')
    return stream.getvalue()


def _mat(megabytes=1024):
    """Return a MATLAB file with one packed variable of `megabytes` MB."""
    head = struct.pack('<2I', 14, 64) + struct.pack('<4I', 6, 8, 9, 0) + struct.pack('<2I3i4x', 5, 12, 4096, 4096, 64)
    head += struct.pack('<2I', 1, 6) + b'images\0\0' + struct.pack('<2I', 2, megabytes * MEGA)
    packer = zlib.compressobj(9, wbits=-15)
    head, zeros = [packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH) for part in (head, bytes(16 * MEGA))]
    content = b'\x78\1' + head + zeros * (megabytes // 16) + b'\3\0' + bytes(4)
    return b'MATLAB 5.0'.ljust(124) + b'\0\1IM' + struct.pack('<2I', 15, len(content)) + content


def _laughs():
    entities = [f'<!ENTITY b{n} "{f"&b{n - 1};" * 10 if n else "ha" * 10}">' for n in range(9)]
    return f'<!DOCTYPE a [{"".join(entities)}]><HEDX>&b8;</HEDX>'.encode()


def _vol():
    content = bytearray(vol_bytes(GRAY))
    struct.pack_into('<I', content, 16, 0xFFFFFFFF)
    return bytes(content)


BOMBS = {
    'PNG of 900 million pixels': ('png', _png),
    'NIfTI of 1 GB in 1 MB': ('nifti-gz', lambda: _gzip_of_zeros(_nifti((4096, 4096, 64)), 1024)),
    'NIfTI that claims 33 GB': ('nifti', lambda: _nifti((4096, 4096, 2000)) + bytes(4000)),
    'MATLAB variable of 1 GB in 1 MB': ('mat', _mat),
    'XML of a billion laughs': ('heyex', _laughs),
    '.vol that claims 4 billion B-scans': ('vol', _vol),
}


@pytest.mark.parametrize('bomb', BOMBS)
def test_bombs(bomb, tmp_path):
    name, make = BOMBS[bomb]
    target = TARGETS[name]
    good, path = tmp_path / f'good{target.suffix}', tmp_path / f'bomb{target.suffix}'
    good.write_bytes(target.pack(target.seeds(tmp_path)[0]))
    path.write_bytes(make())
    assert outcomes(name, good, [path]) == {str(path): 'InputError'}
