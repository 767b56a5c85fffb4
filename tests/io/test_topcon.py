import struct

import numpy as np
import pytest
from fda_files import chunk, contour, fda_bytes, jpeg_slices, picture, plain_slices

from octfluid.utils.errors import InputError

pytest.importorskip('eyepy')
pytest.importorskip('oct_converter')
from octfluid.io.topcon import read_fda

GRAY = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)
OUTLINES = contour(50, 3), contour(50, 3, b'MULTILAYERS_2')


def read(tmp_path, content):
    (tmp_path / 'v.fda').write_bytes(content)
    return read_fda(tmp_path / 'v.fda')


@pytest.mark.parametrize('slices', [jpeg_slices(GRAY), plain_slices(GRAY)], ids=['compressed', 'plain'])
def test_a_volume_with_its_scale(tmp_path, slices):
    scan = read(tmp_path, fda_bytes(slices, *OUTLINES))
    assert scan.is_volume and scan.laterality is None and scan.device == 'Topcon'
    np.testing.assert_array_equal(list(scan.frames), GRAY)
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.0026, 6 / 49, 3.0))


@pytest.mark.parametrize(('content', 'said'), [
    (b'', 'not a Topcon .fda file'), (b'a letter' * 100, r'v\.fda: '), (fda_bytes(jpeg_slices(GRAY))[:-500], 'v.fda: '),
    (fda_bytes(jpeg_slices(np.repeat(GRAY[..., None], 3, axis=3)), *OUTLINES), 'no gray pictures of one size'),
    (fda_bytes(jpeg_slices(GRAY[:, :8, :8]), contour(8, 3), contour(8, 3, b'x')), '8x8 pixels; expected a B-scan'),
    (fda_bytes(jpeg_slices(GRAY), *(chunk(b'@X', b'') for _ in range(100))), 'of more or larger parts than it holds'),
    (fda_bytes(chunk(b'@CONTOUR_INFO', struct.pack('<20s2B3I', b'', 0, 0, 1 << 15, 1 << 15, 0))), 'outlines of 32768x32768'),
    (fda_bytes(jpeg_slices(GRAY), *OUTLINES, fundus=picture(GRAY[0], 'GIF')), 'v.fda: not a Topcon'),
])  # fmt: skip
def test_damage_is_one_line(tmp_path, content, said):
    with pytest.raises(InputError, match=said) as raised:
        read(tmp_path, content)
    assert '\n' not in str(raised.value)
