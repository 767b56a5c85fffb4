import shutil

import numpy as np
import pytest
from tiny_data import pixels, save

from octfluid.datasets.prepare.hrf import prepare
from octfluid.utils.errors import InputError


@pytest.fixture
def raw(tmp_path, write_hrf):
    return write_hrf(tmp_path / 'raw')


def vessels(value=255, background=0):
    mask = np.full((64, 96), background, np.uint8)
    mask[10:20] = value
    return mask


def test_photographs_masks_index_and_split(tmp_path, raw):
    save(raw / 'manual1/02_dr.tif', vessels(128, background=127))  # pixel // 128
    made = prepare(tmp_path, tmp_path / 'out')  # raw is one level down
    assert made.folder == raw and made.vessel_share == pytest.approx(10 / 64)
    assert made.split == (('01_h', '02_dr', '05_g'), ('06_h', '07_dr'))
    native = tmp_path / 'out/native'
    assert (native / 'images/02_dr.jpg').read_bytes() == (raw / 'images/02_dr.JPG').read_bytes()
    np.testing.assert_array_equal(pixels(native / 'annotations/02_dr.png'), vessels(1))
    assert (tmp_path / 'out/index.csv').read_text().splitlines() == [
        'name,subject,slice,group,vessel_px', '01_h,1,0,h,960', '06_h,6,0,h,960', '02_dr,102,0,dr,960', '07_dr,107,0,dr,960',
        '05_g,205,0,g,960',
    ]  # fmt: skip
    assert (tmp_path / 'out/splits/usual_train.txt').read_text() == '01_h\n02_dr\n05_g\n'
    assert (tmp_path / 'out/splits/usual_val.txt').read_text() == '06_h\n07_dr\n'


def test_files_without_a_partner_are_left_out(tmp_path, raw):
    (raw / 'manual1/07_dr.tif').unlink()
    (raw / 'images/02_dr.JPG').unlink()
    (raw / 'images/Thumbs.db').write_bytes(b'x')
    assert prepare(raw, tmp_path / 'out').split == (('01_h', '05_g'), ('06_h',))
    assert {path.stem for path in (tmp_path / 'out/native/images').iterdir()} == {'01_h', '05_g', '06_h'}


@pytest.mark.parametrize(('change', 'said'), [
    (lambda raw: shutil.rmtree(raw), r'raw: no folders images and manual1 .*download_data\.sh hrf'),
    (lambda raw: [path.unlink() for path in raw.glob('manual1/0[67]*')], r'no photograph 06\.\.15'),
    # Masks of other values, and of one bit.
    *((lambda raw, mask=mask: save(raw / 'manual1/01_h.tif', mask), r'manual1/01_h\.tif: ') for mask in (
        vessels(1), np.arange(64 * 96, dtype=np.uint8).reshape(64, 96), vessels() > 0)),
])  # fmt: skip
def test_what_cannot_be_converted_leaves_nothing(tmp_path, raw, change, said):
    change(raw)
    with pytest.raises(InputError, match=said):
        prepare(raw, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()
