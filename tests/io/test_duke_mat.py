import struct
import zlib

import numpy as np
import pytest
import scipy.io

from octfluid.io.duke_mat import read_subject
from octfluid.utils.errors import InputError

SHAPE = (6, 8, 3)


def images(dtype=np.uint8):
    return (np.arange(np.prod(SHAPE)).reshape(SHAPE) % 256).astype(dtype)


def fluid():
    """Slice 0 graded without fluid, slice 1 graded with pocket number 3 and one ungraded pixel, slice 2 ungraded."""
    annotation = np.zeros(SHAPE)
    annotation[2:4, 2:4, 1] = 3
    annotation[0, 0, 1] = np.nan
    annotation[:, :, 2] = np.nan
    return annotation


def write(folder, name='Subject_03.mat', **variables):
    path = folder / name
    scipy.io.savemat(path, variables, do_compression=True)
    return path


def test_reads_volume_and_graded_slices(tmp_path):
    path = write(tmp_path, images=images(), manualFluid1=fluid(), automaticFluidDME=np.ones(3), notes='text')
    subject = read_subject(path)
    assert subject.subject == 3 and subject.images.dtype == np.uint8 and subject.fluid.dtype == np.float64
    np.testing.assert_array_equal(subject.images, images())
    np.testing.assert_array_equal(subject.fluid, fluid())
    assert subject.graded_slices == [0, 1]


@pytest.mark.parametrize(('stored', 'gray'), [
    ([0.0, 127.4, 127.6, 255.0], [0, 127, 128, 255]), ([-0.6, 12.0, 255.7, 200.0], [0, 12, 255, 199]),
    ([0.0, 0.2, 0.5, 1.0], [0, 51, 128, 255]), ([0.0, 10.0, 40.0, 50.0], [0, 51, 204, 255]),
])  # fmt: skip
def test_float_images_become_gray_values(tmp_path, stored, gray):
    volume = np.array(stored).reshape(2, 2, 1)
    path = write(tmp_path, images=volume, manualFluid1=np.zeros(volume.shape))
    np.testing.assert_array_equal(read_subject(path).images.ravel(), gray)


@pytest.mark.parametrize(('bad', 'named'), [
    (dict(manualFluid1=np.zeros((6, 8, 2))), r"'images' has shape \(6, 8, 3\) and 'manualFluid1' \(6, 8, 2\)"),
    (dict(images=np.zeros((6, 8), np.uint8)), r"'images' .*\(6, 8\)"), (dict(images=np.full(SHAPE, np.nan)), 'NaN'),
    (dict(images=images() - 9.0), 'down to -9'), (dict(manualFluid1='text'), "'manualFluid1' "),
    (dict(images=images() * 1j), "'images' .*not a real"), (dict(manualFluid1=None), "'manualFluid1'.* images, notes"),
])  # fmt: skip
def test_bad_content(tmp_path, bad, named):
    variables = {'images': images(), 'manualFluid1': fluid(), 'notes': 'text', **bad}
    path = write(tmp_path, **{name: value for name, value in variables.items() if value is not None})
    with pytest.raises(InputError, match=named):
        read_subject(path)


def test_files_that_are_not_ours(tmp_path):
    path = tmp_path / 'Subject_01.mat'
    with pytest.raises(InputError, match='no such file'):
        read_subject(path)
    header = b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124) + b'\x00\x02IM'
    path.write_bytes(header.ljust(512, b'\0') + b'\x89HDF\r\n\x1a\n' + bytes(600))
    with pytest.raises(InputError, match=r'7\.3 \(HDF5\).*-v7'):
        read_subject(path)
    with pytest.raises(InputError, match=r'Subject_01\.mat'):
        read_subject(tmp_path / 'scan.mat')


@pytest.mark.parametrize('packed', [False, True])
@pytest.mark.parametrize(('place', 'value'), [(32, 1 << 20), (68, 1 << 30)], ids=['side', 'size'])
def test_a_damaged_header_is_refused(tmp_path, packed, place, value):
    path = tmp_path / 'Subject_01.mat'
    scipy.io.savemat(path, {'images': images(), 'manualFluid1': fluid()})
    content = bytearray(path.read_bytes())
    assert content[128 + 56 : 128 + 62] == b'images'
    content[128 + place : 128 + place + 4] = value.to_bytes(4, 'little')
    if packed:
        end = 128 + 8 + int.from_bytes(content[132:136], 'little')
        part = zlib.compress(bytes(content[128:end]))
        content[128:end] = struct.pack('<2I', 15, len(part)) + part
    path.write_bytes(content)
    with pytest.raises(InputError, match='Subject_01'):
        read_subject(path)
