import numpy as np
import pytest
from fda_files import fda_bytes, jpeg_slices, plain_slices

from octfluid.io.readers import read_scans
from octfluid.utils.errors import InputError

pytest.importorskip('oct_converter')

GRAY = np.random.default_rng(0).integers(0, 256, (3, 40, 50), dtype=np.uint8)


def read(tmp_path, content):
    (tmp_path / 'v.fda').write_bytes(content)
    (scan,) = read_scans(tmp_path / 'v.fda')
    return scan


@pytest.mark.parametrize('slices', [jpeg_slices(GRAY), plain_slices(GRAY)], ids=['compressed', 'plain'])
def test_a_volume_with_its_scale(tmp_path, slices):
    scan = read(tmp_path, fda_bytes(slices))
    assert scan.is_volume and scan.laterality is None and scan.device == 'Topcon'
    np.testing.assert_array_equal(list(scan.frames), GRAY)
    assert (scan.spacing.axial, scan.spacing.lateral, scan.spacing.slice) == pytest.approx((0.0026, 6 / 49, 3.0))


@pytest.mark.parametrize('content', [
    fda_bytes(b''), fda_bytes(jpeg_slices(GRAY[:0])),  # a photograph
    fda_bytes(jpeg_slices(GRAY))[:-500], fda_bytes(jpeg_slices(GRAY[:, :8, :8])),
    fda_bytes(jpeg_slices(np.repeat(GRAY[..., None], 3, axis=3))), fda_bytes(jpeg_slices(GRAY, 'GIF')),
], ids=['photograph', 'empty', 'cut', 'small', 'colour', 'GIF'])  # fmt: skip
def test_damage_or_a_photograph_is_one_line(tmp_path, content):
    with pytest.raises(InputError, match=r'v\.fda: ') as raised:
        read(tmp_path, content)
    assert '\n' not in str(raised.value)
