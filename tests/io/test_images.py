import os

import numpy as np
import pytest
from PIL import Image

from octfluid.io.images import read_image
from octfluid.utils.errors import InputError

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (40, 50), dtype=np.uint8)


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.tiff', '.PNG'])
def test_gray_bytes_stay_as_they_are(tmp_path, suffix):
    Image.fromarray(GRAY).save(tmp_path / f'b{suffix}')
    scan = read_image(tmp_path / f'b{suffix}')
    assert len(scan.frames) == 1 and not scan.is_volume and scan.spacing is None and scan.coloured == 0
    np.testing.assert_array_equal(scan.frames[0], GRAY)


def test_jpeg_is_close(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 50).astype(np.uint8), (40, 1))
    Image.fromarray(smooth).save(tmp_path / 'b.jpg', quality=95)
    assert np.abs(read_image(tmp_path / 'b.jpg').frames[0].astype(int) - smooth).max() < 8


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
@pytest.mark.parametrize(('top', 'white'), [(65535, 65535), (4095, 4095), (3000, 4095), (300, 1023), (200, 255)])
def test_words_of_16_bits_are_scaled_by_the_bits_that_are_used(tmp_path, suffix, top, white):
    values = RANDOM.integers(0, top, (40, 50)).astype(np.uint16)
    values[3, 4] = top
    Image.fromarray(values).save(tmp_path / f'b{suffix}')
    gray = read_image(tmp_path / f'b{suffix}').frames[0]
    np.testing.assert_allclose(gray, values * (255 / white), rtol=1e-5)


@pytest.mark.parametrize(('values', 'expected'), [
    (np.full((40, 50), 0.5, np.float32), 127.5), (np.full((40, 50), 200.0, np.float32), 200.0),
])  # fmt: skip
def test_fractions_up_to_one_are_of_one(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / 'b.tif')
    np.testing.assert_allclose(read_image(tmp_path / 'b.tif').frames[0], expected)


def test_a_gray_scan_kept_in_colour_is_gray_and_colour_is_noticed(tmp_path):
    Image.fromarray(np.repeat(GRAY[:, :, None], 3, axis=2)).save(tmp_path / 'gray.png')
    scan = read_image(tmp_path / 'gray.png')
    assert scan.coloured == 0
    np.testing.assert_array_equal(scan.frames[0], GRAY)
    red = np.zeros((40, 50, 3), np.uint8)
    red[:20, :, 0] = 200
    Image.fromarray(red).save(tmp_path / 'red.png')
    assert read_image(tmp_path / 'red.png').coloured == 0.5


def test_transparency_and_palettes_do_not_matter(tmp_path):
    rgba = np.dstack([GRAY, GRAY, GRAY, np.full_like(GRAY, 7)])
    Image.fromarray(rgba).save(tmp_path / 'rgba.png')
    Image.fromarray(GRAY).convert('P').save(tmp_path / 'p.png')
    for name in ('rgba', 'p'):
        np.testing.assert_array_equal(read_image(tmp_path / f'{name}.png').frames[0], GRAY)


def test_pages_are_a_volume_in_order_with_one_scale(tmp_path):
    pages = [np.full((40, 50), level, np.uint16) for level in (100, 1000, 4000)]
    first, *rest = map(Image.fromarray, pages)
    first.save(tmp_path / 'v.tif', save_all=True, append_images=rest)
    scan = read_image(tmp_path / 'v.tif')
    assert scan.is_volume and len(scan.frames) == 3
    np.testing.assert_allclose([frame[0, 0] for frame in scan.frames], np.array([100, 1000, 4000]) * 255 / 4095, rtol=1e-5)


def broken(tmp_path, kind):
    path = tmp_path / 'b.png'
    if kind == 'empty':
        path.touch()
    elif kind == 'text':
        path.write_text('a letter, not a picture')
    elif kind == 'cut':
        Image.fromarray(GRAY).save(path)
        path.write_bytes(path.read_bytes()[:600])
    elif kind == 'gif':
        Image.fromarray(GRAY).save(path, format='GIF')
    elif kind == 'tiny':
        Image.fromarray(GRAY[:1, :1]).save(path)
    elif kind == 'huge':
        Image.new('1', (20_000, 20_000)).save(path)
    elif kind == 'bomb':
        Image.new('1', (20_001, 9_000)).save(path)
    elif kind == 'nan':
        path = tmp_path / 'b.tif'
        Image.fromarray(np.full((40, 50), np.nan, np.float32)).save(path)
    elif kind == 'negative':
        path = tmp_path / 'b.tif'
        Image.fromarray(np.full((40, 50), -3.0, np.float32)).save(path)
    return path


@pytest.mark.parametrize(('kind', 'said'), [
    ('empty', 'an empty file, whatever its name says'), ('text', 'not a PNG, JPEG, BMP or TIFF picture, whatever'),
    ('cut', 'cut short'), ('gif', 'not a PNG, JPEG'), ('tiny', '1x1 pixels; expected a B-scan, at least 32x32'),
    ('huge', '20000 *pixels|far more pixels'), ('bomb', '9000x20001 pixels|far more'),
    ('nan', 'holds NaN or infinite values'), ('negative', 'holds values down to -3'),
])  # fmt: skip
def test_what_is_no_b_scan_is_one_line(tmp_path, kind, said):
    path = broken(tmp_path, kind)
    with pytest.raises(InputError, match=said) as raised:
        read_image(path)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: path.symlink_to('/dev/zero')])
def test_what_is_no_file_is_not_read(tmp_path, make):
    make(tmp_path / 'b.png')
    with pytest.raises(InputError, match=r'b\.png: a pipe, socket or device; expected a file'):
        read_image(tmp_path / 'b.png')


def test_a_page_that_is_cut_off_is_named(tmp_path):
    first, *rest = (Image.fromarray(GRAY) for _ in range(3))
    first.save(tmp_path / 'v.tif', save_all=True, append_images=rest)
    content = (tmp_path / 'v.tif').read_bytes()
    whole = read_image(tmp_path / 'v.tif')
    assert len(whole.frames) == 3
    (tmp_path / 'v.tif').write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(InputError, match='cut short'):
        list(read_image(tmp_path / 'v.tif').frames)


@pytest.mark.parametrize('first', [np.uint8, np.uint16])
def test_pages_of_two_kinds_are_refused(tmp_path, first):
    pages = [GRAY.astype(np.uint16) * 100, GRAY] if first == np.uint16 else [GRAY, GRAY.astype(np.uint16) * 100]
    Image.fromarray(pages[0]).save(tmp_path / 'v.tif', save_all=True, append_images=[Image.fromarray(pages[1])])
    with pytest.raises(InputError, match=r'v\.tif, page 1: holds uint\d+ values, unlike the uint'):
        list(read_image(tmp_path / 'v.tif').frames)


def test_pages_of_two_sizes_are_refused(tmp_path):
    pages = [Image.fromarray(GRAY), Image.fromarray(GRAY[:36])]
    pages[0].save(tmp_path / 'v.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r'v\.tif: B-scan 1 has 36x50 pixels, unlike the 40x50 of the first'):
        list(read_image(tmp_path / 'v.tif').frames)


def test_pages_that_come_to_more_than_the_file_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr('octfluid.io.unpacked.ALWAYS_GOOD', 1000)
    pages = [Image.fromarray(np.zeros((500, 500), np.uint8))] * 3
    pages[0].save(tmp_path / 'v.tif', save_all=True, append_images=pages[1:], compression='tiff_adobe_deflate')
    with pytest.raises(InputError, match=r'v\.tif: comes to 1 MB or more from 0\.00'):
        read_image(tmp_path / 'v.tif')


def test_a_jpeg_of_too_many_passes_is_refused(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / 'b.jpg', progressive=True)
    content = (tmp_path / 'b.jpg').read_bytes()
    last = content[content.rindex(b'\xff\xda') : -2]
    for more, good in ((80, True), (100, False)):
        (tmp_path / 'b.jpg').write_bytes(content[:-2] + more * last + content[-2:])
        if good:
            assert read_image(tmp_path / 'b.jpg').frames[0].shape == (40, 50)
        else:
            with pytest.raises(InputError, match='a JPEG of more than 100 passes'):
                read_image(tmp_path / 'b.jpg')


def test_a_second_picture_in_a_photograph_is_no_b_scan(tmp_path):
    one, two = (Image.fromarray(np.full((40, 50), value, np.uint8)) for value in (80, 90))
    one.save(tmp_path / 'x.jpg', format='MPO', save_all=True, append_images=[two])
    assert Image.open(tmp_path / 'x.jpg').n_frames == 2
    scan = read_image(tmp_path / 'x.jpg')
    assert len(scan.frames) == 1 and not scan.is_volume


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_a_tiff_that_lies_on_its_side_is_refused(tmp_path, orientation):
    Image.fromarray(RANDOM.integers(0, 256, (40, 50), dtype=np.uint8)).save(tmp_path / 'v.tif', tiffinfo={274: orientation})
    with pytest.raises(InputError, match=r'v\.tif: a TIFF that says that it lies on its side; save it upright'):
        read_image(tmp_path / 'v.tif')


def test_a_tiff_that_says_that_it_is_upside_down_is_turned(tmp_path):
    frame = RANDOM.integers(0, 256, (40, 50), dtype=np.uint8)
    Image.fromarray(frame).save(tmp_path / 'v.tif', tiffinfo={274: 3}, save_all=True, append_images=[Image.fromarray(frame)])
    np.testing.assert_array_equal(read_image(tmp_path / 'v.tif').frames[0], frame[::-1, ::-1])


def test_more_bits_than_16_are_scaled_by_the_greatest_value(tmp_path):
    values = RANDOM.integers(0, 255, (40, 50)).astype(np.int32) * 1000
    Image.fromarray(values).save(tmp_path / 'b.tif')
    np.testing.assert_allclose(read_image(tmp_path / 'b.tif').frames[0], values * (255 / values.max()), rtol=1e-5)


def test_nothing_is_said_of_transparency(tmp_path, recwarn):
    Image.fromarray(RANDOM.integers(0, 256, (40, 50), dtype=np.uint8)).convert('RGBA').quantize(64).save(tmp_path / 'b.png')
    assert read_image(tmp_path / 'b.png').frames[0].shape == (40, 50) and not recwarn.list
