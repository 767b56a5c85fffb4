import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
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


def test_files_without_a_partner_are_listed_and_left_out(tmp_path, raw):
    prepare(raw, tmp_path / 'out')
    (raw / 'manual1/07_dr.tif').unlink()
    (raw / 'images/02_dr.JPG').unlink()
    (raw / 'images/Thumbs.db').write_bytes(b'x')
    (raw / 'images/.hidden').write_bytes(b'x')
    made = prepare(raw, tmp_path / 'out')
    assert [line.partition(': ')[0] for line in made.left_out] == [
        f'{raw}/images/Thumbs.db', f'{raw}/images/07_dr.JPG', f'{raw}/manual1/02_dr.tif',
    ]  # fmt: skip
    assert len(made.absent) == 40 and not {'01_h', '07_dr', '02_dr'} & set(made.absent)
    assert {path.stem for path in (tmp_path / 'out/native/images').iterdir()} == {'01_h', '05_g', '06_h'}


def save_image(mode, **options):
    return lambda raw: Image.new(mode, (96, 64)).save(raw / 'images/01_h.jpg', **options)


def cut(name):
    return lambda raw: (raw / name).write_bytes((raw / name).read_bytes()[:300])


@pytest.mark.parametrize(('change', 'said'), [
    (lambda raw: shutil.rmtree(raw), r'raw: no folders images and manual1 .*download_data\.sh hrf'),
    (lambda raw: [path.unlink() for path in raw.glob('manual1/0[67]*')], r'no photograph 06\.\.15'),
    (lambda raw: shutil.copy(raw / 'images/02_dr.JPG', raw / 'images/02_dr.jpeg'), 'are both 02_dr'),
    (save_image('L'), r'01_h\.jpg: is a L image'),
    (save_image('RGB', format='PNG'), r'01_h\.jpg: is a RGB image in PNG format'),
    (cut('manual1/01_h.tif'), r'manual1/01_h\.tif'),
    # Masks of another size, of other values, and of one bit.
    *((lambda raw, mask=mask: save(raw / 'manual1/01_h.tif', mask), r'manual1/01_h\.tif: ') for mask in (
        np.zeros((64, 95), np.uint8), vessels(1), np.arange(64 * 96, dtype=np.uint8).reshape(64, 96), vessels() > 0)),
])  # fmt: skip
def test_what_cannot_be_converted_leaves_nothing(tmp_path, raw, change, said):
    change(raw)
    with pytest.raises(InputError, match=said):
        prepare(raw, tmp_path / 'new/out')
    assert not (tmp_path / 'new').exists()


def test_two_real_photographs(tmp_path):
    folder = os.environ.get('OCTFLUID_SHARED_DATA')
    if not folder or not (Path(folder) / 'hrf').is_dir():
        pytest.skip('OCTFLUID_SHARED_DATA is not set or has no hrf/: no real HRF photographs')
    for name in ('images/01_dr.JPG', 'manual1/01_dr.tif', 'images/06_g.jpg', 'manual1/06_g.tif'):
        (tmp_path / 'raw' / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(folder) / 'hrf' / name, tmp_path / 'raw' / name)
    prepare(tmp_path / 'raw', tmp_path / 'out')
    mask = pixels(tmp_path / 'out/native/annotations/06_g.png')
    np.testing.assert_array_equal(mask, pixels(tmp_path / 'raw/manual1/06_g.tif') // 128)
    assert mask.shape == (2336, 3504)
    assert 0.04 < mask.mean() < 0.12
