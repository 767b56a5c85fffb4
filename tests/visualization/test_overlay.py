import cv2
import numpy as np
import pytest
from PIL import ImageFont

from octfluid.visualization import overlay
from octfluid.visualization.overlay import caption_for, draw_overlay, save_png

GRAY = np.full((4, 4), 100, np.uint8)
PREDICTION = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
TRUTH = np.array([[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)


def over_gray(colour, opacity=overlay.FILL_OPACITY, under=(100, 100, 100)):
    return [round((1 - opacity) * below + opacity * above) for above, below in zip(colour, under, strict=True)]


@pytest.mark.parametrize('kind', [np.uint8, bool])
def test_each_pixel_has_the_colour_of_its_class(kind):
    scale = 8
    rgb = draw_overlay(GRAY, PREDICTION.astype(kind), TRUTH.astype(kind), 'x', scale=scale)
    assert rgb.dtype == np.uint8
    marked = [over_gray(colour) for colour in (overlay.FALSE_POSITIVE, overlay.TRUE_POSITIVE, overlay.FALSE_NEGATIVE)]
    for row, colours in enumerate([[*marked, [100] * 3]] * 2 + [[[100] * 3] * 4] * 2):
        for column, colour in enumerate(colours):
            block = rgb[row * scale : (row + 1) * scale, column * scale : (column + 1) * scale]
            # The outline runs through the outermost pixels of blocks next to the ground truth, never through the inner ones.
            assert (block[1:-1, 1:-1] == colour).all()


def test_outline_lies_just_outside_the_ground_truth():
    truth = np.zeros((5, 5), np.uint8)
    truth[2, 2] = 1
    rgb = draw_overlay(np.full((5, 5), 100, np.uint8), np.zeros_like(truth), truth, '', scale=1)[:5]
    changed = (rgb != 100).any(axis=2)
    cross = np.zeros((5, 5), bool)
    cross[1:4, 2] = cross[2, 1:4] = True
    assert np.array_equal(changed, cross)
    assert list(rgb[2, 2]) == over_gray(overlay.FALSE_NEGATIVE)
    assert list(rgb[1, 2]) == over_gray(overlay.CONTOUR, overlay.CONTOUR_OPACITY)


def test_without_truth_there_is_one_colour_and_an_outline():
    rgb = draw_overlay(GRAY, PREDICTION, None, '', scale=1)[:4]
    assert (rgb[:2, :2] == over_gray(overlay.PREDICTED)).all()
    assert (rgb[:2, 2] == over_gray(overlay.CONTOUR, overlay.CONTOUR_OPACITY)).all()
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
    assert np.array_equal(strip('two\nlines'), strip('two lines'))
    compared, alone = (strip('x', truth).reshape(-1, 3).tolist() for truth in (image, None))
    for colour in (overlay.TRUE_POSITIVE, overlay.FALSE_POSITIVE, overlay.FALSE_NEGATIVE, overlay.CONTOUR):
        assert list(colour) in compared
    assert list(overlay.PREDICTED) in alone and list(overlay.TRUE_POSITIVE) not in alone


def test_long_captions_shrink_and_then_lose_their_middle():
    caption = 'folder/' * 8 + 's01_z10 · Dice 0.812'
    smallest = ImageFont.load_default(overlay.SMALLEST_FONT)
    text, font = overlay.fitted_text(caption, int(smallest.getlength(caption)) + 1)
    assert (text, font.size) == (caption, overlay.SMALLEST_FONT)
    text, font = overlay.fitted_text(caption, 200)
    assert text.startswith('folder/') and text.endswith('Dice 0.812') and 180 < font.getlength(text) <= 200


@pytest.mark.parametrize(('tp', 'fp', 'fn', 'told'), [
    (30, 10, 10, 'Dice 0.750'), (0, 0, 5, 'Dice 0.000'), (0, 12, 0, 'no fluid; 12 px false positive'),
])  # fmt: skip
def test_captions(tp, fp, fn, told):
    assert caption_for('s01_z10', tp, fp, fn) == f's01_z10 · {told}'


def test_save_png_keeps_red_red(tmp_path):
    rgb = np.zeros((3, 5, 3), np.uint8)
    rgb[:, 0] = overlay.FALSE_POSITIVE
    save_png(tmp_path / 'new' / 'x.png', rgb)
    read = cv2.cvtColor(cv2.imread(str(tmp_path / 'new' / 'x.png')), cv2.COLOR_BGR2RGB)
    assert np.array_equal(read, rgb)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['x.png']


@pytest.mark.parametrize('shape', [(5000, 32), (1 << 19, 32), (32, 5000), (4096, 4096)])
def test_tall_scans_are_not_enlarged_beyond_memory(shape):
    scale = overlay.enlargement(shape)
    assert 1 <= scale <= 16 and shape[0] * shape[1] * scale**2 <= max(1 << 23, shape[0] * shape[1])
