import numpy as np
import pytest

from octfluid.visualization import overlay
from octfluid.visualization.panels import draw_panels, score_line

SCAN = np.full((16, 96), 100, np.uint8)
TRUTH = np.zeros((16, 96), np.uint8)
TRUTH[4:8, 10:20] = 1
NOTHING = np.zeros_like(TRUTH)
WRONG = np.zeros_like(TRUTH)
WRONG[4:8, 50:60] = 1


def cut(picture, count, scale):
    """Return the parts of the panels that hold scans, without captions and legend, and check the gaps between them."""
    width, gap = 96 * scale, overlay.SHEET_GAP
    assert picture.shape[1] == count * (width + gap) - gap
    rows = np.flatnonzero((picture[:, :width] == 100).all(axis=2).any(axis=1))
    assert rows[-1] - rows[0] + 1 == 16 * scale  # the first panel is the scan alone, which is of one gray
    body = picture[rows[0] : rows[0] + 16 * scale]
    assert all((body[:, left : left + gap] == overlay.SHEET).all() for left in range(width, body.shape[1], width + gap))
    return [body[:, index * (width + gap) :][:, :width] for index in range(count)]


@pytest.mark.parametrize('scale', [1, 3])
def test_panels_show_scan_predictions_and_truth_in_this_order(scale):
    picture = draw_panels('s01_z10', SCAN, TRUTH, {'none': NOTHING, 'wrong': WRONG, 'right': TRUTH}, scale)
    assert picture.dtype == np.uint8
    scan, none, wrong, right, truth = cut(picture, 5, scale)
    assert (scan == 100).all()
    for panel, mask in ((none, NOTHING), (wrong, WRONG), (right, TRUTH), (truth, TRUTH)):
        assert np.array_equal(panel, overlay.colour_fluid(SCAN, mask, TRUTH, scale))
    assert np.array_equal(right, truth)
    assert not np.array_equal(none, wrong)


def test_captions_and_legend_differ_by_what_they_say():
    def above(name, mask, title='net', truth=TRUTH):
        picture = draw_panels(name, SCAN, truth, {title: mask}, 2)
        top = np.flatnonzero((picture[:, :192] == 100).all(axis=2).any(axis=1))[0]
        step = 192 + overlay.SHEET_GAP
        return [picture[:top, index * step :][:, :192] for index in range(3)], picture[top + 32 :]

    (scan, net, truth), legend = above('s01_z10', TRUTH)
    for other, same in ((above('s02_z20', TRUTH)[0], (1, 2)), (above('s01_z10', WRONG)[0], (0, 2)),
                        (above('s01_z10', TRUTH, 'other')[0], (0, 2))):  # fmt: skip
        for index, caption in enumerate((scan, net, truth)):
            assert np.array_equal(other[index], caption) == (index in same)
    assert not np.array_equal(above('s01_z10', TRUTH, truth=NOTHING)[0][2], truth)
    colours = legend.reshape(-1, 3).tolist()
    for colour in (overlay.TRUE_POSITIVE, overlay.FALSE_POSITIVE, overlay.FALSE_NEGATIVE, overlay.CONTOUR):
        assert list(colour) in colours
    long = above('s01_z10', TRUTH, 'a very long name ' * 20)[0][1]
    assert (long[:, -overlay.MARGIN :] == overlay.STRIP).all()


def test_score_line():
    assert score_line(tp=30, fp=10, fn=10) == 'Dice 0.750 · IoU 0.600'
    assert score_line(tp=0, fp=0, fn=5) == 'Dice 0.000 · IoU 0.000'
    assert score_line(tp=0, fp=12, fn=0) == 'no fluid; 12 px false positive'


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match='values other than 0 and 1'):
        draw_panels('x', SCAN, 255 * TRUTH, {})
