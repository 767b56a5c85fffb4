"""Every reader answers a damaged file with a result or an `InputError`, in little time and memory."""

import gzip
import io
import multiprocessing
import random
import resource
import signal
import struct
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
pytest.importorskip('onnx')
from faults.mutations import change
from fuzz_targets import GRAY, TARGETS
from PIL import Image
from vol_files import vol_bytes

from octfluid.utils.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='limits memory as Linux does')]
NUMBER = 40  # changed files of a kind
MEGA = 1 << 20
MOST_BYTES, MOST_SECONDS = 1 << 30, 10


def limit(name, good):
    """Allow this process 1 GB more memory than after it has read a good file, and with it has loaded the libraries."""
    TARGETS[name].read(good)
    most = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def outcome(name, path):
    """Return 'read', 'InputError', or what must not happen."""
    signal.alarm(2 * MOST_SECONDS)  # ends the process
    begun = time.process_time()
    try:
        TARGETS[name].read(path)
        found = 'read'
    except InputError as error:
        found = 'InputError' if '\n' not in str(error) and path.name in str(error) else f'not one line with a name: {error}'
    except Exception as error:
        found = f'{type(error).__name__}: {error}'
    signal.alarm(0)
    return found if time.process_time() - begun < MOST_SECONDS else 'takes too long'


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


BOMBS = {  # by kind: a picture of 900 million pixels, 1 GB in 1 MB, a header of 33 GB, a billion laughs, 4 billion B-scans
    'png': _png,
    'nifti-gz': lambda: _gzip_of_zeros(_nifti((4096, 4096, 64)), 1024),
    'nifti': lambda: _nifti((4096, 4096, 2000)) + bytes(4000),
    'mat': _mat,
    'heyex': _laughs,
    'vol': _vol,
}


@pytest.mark.parametrize('name', TARGETS)
def test_changed_files_and_bombs(name, tmp_path):
    target, rng = TARGETS[name], random.Random(name)
    seeds = target.seeds(tmp_path)
    contents = [target.pack(change(rng, seeds, target.words)) for _ in range(NUMBER)]
    paths = [tmp_path / f'{number}{target.suffix}' for number in range(NUMBER + 2)]
    for path, content in zip(paths, [*contents, BOMBS.get(name, bytes)(), target.pack(seeds[0])], strict=True):
        path.write_bytes(content)
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn'), limit, (name, paths[-1])) as pool:
        found = list(pool.map(partial(outcome, name), paths))
    assert set(found) == {'read', 'InputError'} and found[-2:] == ['InputError', 'read']
