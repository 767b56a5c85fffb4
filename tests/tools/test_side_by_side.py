import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def stack(run_tool, tmp_path):
    for folder, size, value in (('scans', (8, 6), 40), ('overlays', (16, 20), 200)):
        (tmp_path / folder).mkdir()
        Image.new('L', size, value).save(tmp_path / folder / 'a.png')
    folders = tmp_path / 'scans', tmp_path / 'overlays'
    return lambda scan: run_tool('analysis_tools/side_by_side', scan, *folders, '--out', tmp_path / 'new/out.png')


def test_pictures_of_a_scan_stand_side_by_side(stack, tmp_path):
    assert not stack('a')[0]
    pixels = np.asarray(Image.open(tmp_path / 'new/out.png'))
    assert pixels.shape == (20, 32, 3)
    # The scan is enlarged twice; below it the picture is black.
    assert (pixels[:12, :16] == 40).all() and not pixels[12:, :16].any() and (pixels[:, 16:] == 200).all()


def test_a_missing_picture_is_named(stack):
    status, _, (line,) = stack('b')
    assert status == 2 and 'scans/b.png' in line
