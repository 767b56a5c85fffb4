import os
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from octfluid.io import images
from octfluid.io.readers import read_scans
from octfluid.utils.errors import InputError

RANDOM = np.random.default_rng(0)
GRAY = RANDOM.integers(0, 256, (40, 50), dtype=np.uint8)


def read(path):
    (scan,) = read_scans(path)
    return scan


def save(path, *pages, **options):
    first, *rest = map(Image.fromarray, pages)
    first.save(path, **options, **(dict(save_all=True, append_images=rest) if rest else {}))
    return path


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tif', '.tiff', '.PNG'])
def test_gray_bytes_stay_as_they_are(tmp_path, suffix):
    scan = read(save(tmp_path / f'b{suffix}', GRAY))
    assert len(scan.frames) == 1 and not scan.is_volume and scan.spacing is None and scan.coloured == 0
    np.testing.assert_array_equal(scan.frames[0], GRAY)


WORDS = RANDOM.integers(0, 255, (40, 50)).astype(np.int32) * 1000


def test_a_gray_scan_kept_in_colour_is_gray_and_colour_is_noticed(tmp_path, recwarn):
    rgba = Image.fromarray(np.dstack([GRAY, GRAY, GRAY, np.full_like(GRAY, 7)]))
    palette = rgba.quantize(64)
    kinds = dict(rgb=rgba.convert('RGB'), rgba=rgba, p=Image.fromarray(GRAY).convert('P'), la=rgba.convert('LA'))
    for name, picture in kinds.items():
        picture.save(tmp_path / f'{name}.png')
        scan = read(tmp_path / f'{name}.png')
        assert scan.coloured == 0
        np.testing.assert_array_equal(scan.frames[0], GRAY)
    palette.save(tmp_path / 'transparent.png')
    assert read(tmp_path / 'transparent.png').frames[0].shape == (40, 50) and not recwarn.list
    red = np.zeros((40, 50, 3), np.uint8)
    red[:20, :, 0] = 200
    assert read(save(tmp_path / 'red.png', red)).coloured == 0.5


def test_pages_are_a_volume_in_order_with_one_scale(tmp_path):
    scan = read(save(tmp_path / 'v.tif', *(np.full((40, 50), level, np.uint16) for level in (100, 1000, 4000))))
    assert scan.is_volume and len(scan.frames) == 3
    np.testing.assert_allclose([frame[0, 0] for frame in scan.frames], np.array([100, 1000, 4000]) * 255 / 4000, rtol=1e-5)


@pytest.mark.parametrize(('image', 'said'), [
    (Image.new('L', (1, 1)), '1x1'), (Image.new('1', (9000, 4000)), '4000x9000'),
    (Image.fromarray(np.full((40, 50), np.nan, np.float32)), 'NaN'),
    (Image.fromarray(np.full((40, 50), -3, np.float32)), '-3'), (Image.new('P', (40, 50)), 'b.png'), (None, 'b.png'),
], ids=['tiny', 'large', 'nan', 'negative', 'gif', 'pipe'])  # fmt: skip
def test_what_is_no_b_scan_is_one_line(tmp_path, image, said):
    path = tmp_path / 'b.png'
    if image:
        image.save(path, 'GIF' if image.mode == 'P' else 'TIFF')
    else:
        os.mkfifo(path)
    with pytest.raises(InputError, match=said) as raised:
        read(path)
    assert str(raised.value).startswith(str(path)) and '\n' not in str(raised.value)


@pytest.mark.parametrize('pages', [
    (GRAY, GRAY.astype(np.uint16)), (GRAY.astype(np.uint16), GRAY), (GRAY, GRAY[:36]),
], ids=['bytes', 'words', 'sizes'])  # fmt: skip
def test_pages_of_two_kinds_or_sizes_are_refused(tmp_path, pages):
    with pytest.raises(InputError, match=r'v\.tif: B-scan 1 has '):
        read(save(tmp_path / 'v.tif', *pages))


@pytest.mark.parametrize(('suffix', 'pixels', 'options'), [
    ('.jpg', GRAY, {}), ('.png', GRAY, {}), ('.tif', GRAY, {}), ('.tif', GRAY.astype(np.float32), {}),
    ('.tif', GRAY, dict(compression='tiff_lzw')),
])  # fmt: skip
@pytest.mark.parametrize(('orientation', 'turn'), [
    (2, np.fliplr), (3, lambda a: np.rot90(a, 2)), (4, np.flipud), (5, np.transpose), (6, lambda a: np.rot90(a, -1)),
    (7, lambda a: np.rot90(a, 2).T), (8, np.rot90), (1, np.array),
], ids=lambda value: value if isinstance(value, int) else '')  # fmt: skip
def test_pictures_are_turned_as_viewers_show_them(tmp_path, suffix, pixels, options, orientation, turn):
    path, exif = tmp_path / f'b{suffix}', Image.Exif()
    exif[0x0112] = orientation
    pages = 2 if suffix == '.tif' else 1
    save(path, *[pixels] * pages, exif=exif, **options)
    stored = np.asarray(Image.open(path)) if suffix == '.jpg' else GRAY
    scan = read(path)
    for frame in scan.frames:
        np.testing.assert_array_equal(np.rint(frame), turn(stored))
    assert len(scan.frames) == pages and len(scan.notes) == (orientation > 1)
    assert images.orientation_of(path) == orientation


def float_tiff(values, order):
    """An uncompressed TIFF of floating numbers (TIFF 6.0, sections 2 and 19)."""
    data, (height, width) = values.astype(f'{order}f{values.dtype.itemsize}').tobytes(), values.shape
    tags = {256: width, 257: height, 258: 8 * values.dtype.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height,
            279: len(data), 339: 3}  # fmt: skip
    entries = b''.join(struct.pack(f'{order}HHII', tag, 4, 1, value) for tag, value in tags.items())
    start = {'<': b'II*\0', '>': b'MM\0*'}[order] + struct.pack(f'{order}I', 8 + len(data))
    return start + data + struct.pack(f'{order}H', len(tags)) + entries + bytes(4)


@pytest.mark.parametrize('order', '<>')
def test_tiff_of_64_bit_floating_numbers_is_read_and_of_16_bits_is_named(tmp_path, order):
    (tmp_path / 'b.tif').write_bytes(float_tiff(WORDS / 7.0, order))
    np.testing.assert_allclose(read(tmp_path / 'b.tif').frames[0], WORDS * (255 / WORDS.max()), rtol=1e-5)
    (tmp_path / 'c.tif').write_bytes(float_tiff(GRAY.astype(np.float16), order))
    with pytest.raises(InputError, match=r'c\.tif: .*floating numbers of 16 bits'):
        read(tmp_path / 'c.tif')


@pytest.mark.parametrize(('tag', 'value'), [(254, 1), (254, 5), (254, 4), (255, 2)])
@pytest.mark.parametrize('first', [False, True])
def test_pages_marked_as_smaller_copies_or_masks_are_left_out(tmp_path, first, tag, value):
    pages = [(GRAY, {}), (GRAY[:36, :40], {tag: value}), (255 - GRAY, {254: 2})]
    with TiffImagePlugin.AppendingTiffWriter(tmp_path / 'v.tif', True) as file:
        for pixels, info in pages[1::-1] + pages[2:] if first else pages:
            Image.fromarray(pixels).save(file, 'TIFF', tiffinfo=info)
            file.newFrame()
    np.testing.assert_array_equal(read(tmp_path / 'v.tif').frames, [GRAY, 255 - GRAY])
