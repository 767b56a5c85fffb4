import cv2
import numpy as np
import pytest

from octfluid.io.results import write_png
from octfluid.visualization import overlay
from octfluid.visualization.overlay import colour_fluid, draw_overlay

GRAY = np.full((5, 5), 100, np.uint8)
CONTOUR = overlay.CONTOUR, overlay.CONTOUR_OPACITY


def mask(rows, columns):
    found = np.zeros((5, 5), np.uint8)
    found[rows, columns] = 1
    return found


def over_gray(colour, opacity=overlay.FILL_OPACITY):
    return [round((1 - opacity) * 100 + opacity * above) for above in colour]


@pytest.mark.parametrize('kind', [np.uint8, bool])
def test_each_pixel_has_the_colour_of_its_class(kind):
    rgb = colour_fluid(GRAY, mask(slice(2), slice(2)).astype(kind), mask(slice(2), slice(1, 3)).astype(kind), 8)
    assert rgb.dtype == np.uint8
    # The outline runs through the outermost pixels of blocks next to the ground truth, never through the inner ones.
    inner = [[rgb[8 * row + 1 : 8 * row + 7, 8 * column + 1 : 8 * column + 7] for column in range(5)] for row in range(5)]
    marked = [over_gray(colour) for colour in (overlay.FALSE_POSITIVE, overlay.TRUE_POSITIVE, overlay.FALSE_NEGATIVE)]
    for row, colours in enumerate([[*marked, [100] * 3, [100] * 3]] * 2 + [[[100] * 3] * 5] * 3):
        assert all((block == colour).all() for block, colour in zip(inner[row], colours, strict=True))


def test_outline_lies_just_outside_the_ground_truth():
    rgb = colour_fluid(GRAY, np.zeros_like(GRAY), mask(2, 2), 1)
    assert np.array_equal((rgb != 100).any(axis=2), mask([1, 2, 2, 2, 3], [2, 1, 2, 3, 2]))
    assert list(rgb[2, 2]) == over_gray(overlay.FALSE_NEGATIVE) and list(rgb[1, 2]) == over_gray(*CONTOUR)


def test_without_truth_there_is_one_colour_and_an_outline():
    rgb = colour_fluid(GRAY, mask(slice(2), slice(2)), None, 1)
    assert (rgb[:2, :2] == over_gray(overlay.PREDICTED)).all() and (rgb[:2, 2] == over_gray(*CONTOUR)).all()
    assert (rgb[3] == 100).all()


@pytest.mark.parametrize(('width', 'scale'), [(64, 8), (256, 2), (300, 2), (512, 1), (768, 1)])
def test_small_scans_are_enlarged(width, scale):
    image = np.zeros((96, width), np.uint8)
    rgb = draw_overlay(image, image, image, 's01_z10 · Dice 0.500')
    assert rgb.shape[1] == width * scale and 30 < rgb.shape[0] - 96 * scale < 80
    assert (rgb[: 96 * scale] == 0).all() and rgb[96 * scale :].max() > 200


def test_caption_and_legend_are_drawn_and_end_inside_the_picture():
    image = np.zeros((64, 512), np.uint8)

    def strip(caption, truth=image):
        return draw_overlay(image, image, truth, caption)[64:]

    for caption in ('s01_z10 · Dice 0.500', 'a very long name ' * 20 + '· Dice 0.812'):
        drawn = strip(caption)
        assert drawn.shape == strip('').shape and not np.array_equal(drawn, strip(''))
        assert (drawn[:, -overlay.MARGIN :] == overlay.STRIP).all()
    compared, alone = (strip('x', truth).reshape(-1, 3).tolist() for truth in (image, None))
    for colour in (overlay.TRUE_POSITIVE, overlay.FALSE_POSITIVE, overlay.FALSE_NEGATIVE, overlay.CONTOUR):
        assert list(colour) in compared
    assert list(overlay.PREDICTED) in alone and list(overlay.TRUE_POSITIVE) not in alone


@pytest.mark.parametrize('how', [{}, {'colours': 128}, {'fast': True}])
def test_a_png_keeps_red_red(tmp_path, how):
    rgb = np.zeros((3, 5, 3), np.uint8)
    rgb[:, 0] = overlay.FALSE_POSITIVE
    write_png(tmp_path / 'x.png', rgb, **how)
    assert np.array_equal(cv2.imread(str(tmp_path / 'x.png'))[:, :, ::-1], rgb)


@pytest.mark.parametrize('shape', [(5000, 32), (1 << 19, 32), (32, 5000), (4096, 4096)])
def test_tall_scans_are_not_enlarged_beyond_memory(shape):
    scale = overlay.enlargement(shape)
    assert 1 <= scale <= 16 and shape[0] * shape[1] * scale**2 <= max(1 << 23, shape[0] * shape[1])
