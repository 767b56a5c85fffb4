import os

import cv2
import numpy as np
import pytest
from PIL import Image

from octfluid.datasets.folder_prepare import prepare_folder
from octfluid.datasets.gray_files import read_mask, read_scan
from octfluid.utils.errors import InputError


def as_palette(*colours):
    def write(image, path):
        image = Image.fromarray(np.asarray(image), 'P')
        image.putpalette([value for colour in colours for value in colour])
        image.save(path, 'PNG')

    return write


def with_alpha(image, path):
    image = image.convert('LA')
    image.putalpha(Image.fromarray(np.eye(40, 50, dtype=np.uint8) * 255))
    image.save(path, 'PNG')


def turned(image, path):
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(path, 'JPEG', exif=exif)


@pytest.mark.parametrize(('write', 'said'), [
    (lambda image, path: image.convert('CMYK').save(path), 'its colours are kept as CMYK'),
    (lambda image, path: image.save(path, save_all=True, append_images=[image]), 'has 2 pages'),
    (as_palette((0, 0, 0), (255, 0, 0)), 'is in colour; expected gray'),
    (with_alpha, 'is transparent in part'),
    (turned, 'is to be shown turned'),
    (lambda image, path: image.crop((0, 0, 1, 40)).save(path), 'is 40x1 .height x width.; expected a scan'),
    (lambda image, path: cv2.imwrite(f'{path}.png', np.zeros((9, 9, 3), np.uint16)) and os.rename(f'{path}.png', path),
     'is in colour, of 16 bits each'),
    (lambda image, path: Image.fromarray(np.asarray(image).astype(np.uint16)).save(path, tiffinfo={262: 0}),
     'has 16 bits of which 0 means white'),
])  # fmt: skip
def test_pictures_that_would_lose_their_content_are_refused(tmp_path, write, said):
    for kind in ('images', 'masks'):
        (tmp_path / kind).mkdir()
        Image.fromarray(np.tri(40, 50, dtype=np.uint8)).save(tmp_path / kind / 'a.tif')
    write(Image.open(tmp_path / 'images/a.tif'), tmp_path / 'images/b.tif')
    (tmp_path / 'images/b.tif').replace(tmp_path / 'images/a.tif')
    with pytest.raises(InputError, match=said):
        prepare_folder(tmp_path / 'images', tmp_path / 'masks', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_palette_of_grays_is_what_it_shows(tmp_path):
    image = Image.fromarray(np.eye(3, dtype=np.uint8), 'P')
    image.putpalette([30, 30, 30, 200, 200, 200])
    image.save(tmp_path / 'scan.png')
    assert np.array_equal(read_scan(tmp_path / 'scan.png'), np.where(np.eye(3), 200, 30))


@pytest.mark.parametrize(('top', 'white'), [(4095, 4095), (65535, 65535), (200, 255)])
def test_16_bits_become_8(tmp_path, top, white):
    values = np.linspace(0, top, 9).astype(np.uint16).reshape(3, 3)
    Image.fromarray(values).save(tmp_path / 'scan.png')
    Image.fromarray(np.eye(3, dtype=np.uint16) * 65535).save(tmp_path / 'mask.png')
    np.testing.assert_array_equal(read_scan(tmp_path / 'scan.png'), np.rint(values * (255 / white)))
    np.testing.assert_array_equal(read_mask(tmp_path / 'mask.png'), np.eye(3))
    assert read_scan(tmp_path / 'scan.png').dtype == read_mask(tmp_path / 'mask.png').dtype == np.uint8
