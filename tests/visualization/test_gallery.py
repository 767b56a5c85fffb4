import cv2
import numpy as np
import pytest
from PIL import Image

from octfluid.visualization.gallery import caption_for, choose, scan_overlay, write_pictures
from octfluid.visualization.overlay import FALSE_NEGATIVE, FALSE_POSITIVE, FILL_OPACITY, TRUE_POSITIVE


def row(name, tp=0, fp=0, fn=0):
    return dict(name=name, tp=tp, fp=fp, fn=fn)


def dice(name, percent):
    return row(name, tp=percent, fp=100 - percent, fn=100 - percent)


@pytest.mark.parametrize(('images', 'expected'), [
    ([dice('c', 50), dice('a', 90), dice('e', 70), dice('b', 10), dice('d', 60), row('x', fp=3), row('y', fp=30), row('z')],
     {'best': 'a', 'median': 'd', 'worst': 'b', 'false': 'y'}),
    # The median of an even number is the lower one; ties go by name.
    ([dice('a', 10), dice('b', 20), dice('c', 30), dice('d', 40)], {'best': 'd', 'median': 'b', 'worst': 'a'}),
    ([dice(name, 0) for name in 'dbca'], {'best': 'd', 'median': 'b', 'worst': 'a'}),
    ([row(name, fp=2) for name in 'dbca'], {'false': 'a'}),
    # No image has two roles.
    ([], {}),
    ([dice('a', 50)], {'best': 'a'}),
    ([dice('a', 50), dice('b', 60)], {'best': 'b', 'worst': 'a'}),
    ([row('a', fn=7), row('b')], {'best': 'a', 'false': 'b'}),  # fluid that was missed is fluid
])  # fmt: skip
def test_roles_by_dice_and_by_false_pixels(images, expected):
    assert list(choose(images).items()) == list(expected.items())
    assert choose(images[::-1]) == expected


@pytest.mark.parametrize(('tp', 'fp', 'fn', 'told'), [
    (30, 10, 10, 'Dice 0.750'), (0, 0, 5, 'Dice 0.000'), (0, 12, 0, 'no fluid; 12 px false positive'),
])  # fmt: skip
def test_captions(tp, fp, fn, told):
    assert caption_for('s01_z10', tp, fp, fn) == f's01_z10 · {told}'


@pytest.fixture
def scan(tmp_path):
    """Files of a black scan of 48x40 and its mask, prediction and truth: columns 0..9 both, 10..19 predicted, 20..29 true."""
    truth, prediction = np.zeros((48, 40), np.uint8), np.zeros((48, 40), np.uint8)
    truth[:, :10] = truth[:, 20:30] = prediction[:, :20] = 1
    for name, content in (('scan', np.zeros_like(truth)), ('mask', truth)):
        Image.fromarray(content).save(tmp_path / f'{name}.png')
    return (tmp_path / 'scan.png', tmp_path / 'mask.png'), prediction, truth


def assert_colours(rgb, tolerance):
    scale = rgb.shape[1] // 40
    for column, colour in ((5, TRUE_POSITIVE), (15, FALSE_POSITIVE), (25, FALSE_NEGATIVE), (36, (0, 0, 0))):
        found = rgb[20 * scale, column * scale + scale // 2].astype(int)
        assert np.abs(found - FILL_OPACITY * np.array(colour)).max() <= tolerance, (column, found)


def test_overlay_of_a_scan_of_another_size_is_as_large_as_the_ground_truth(scan, tmp_path):
    (image, _), prediction, truth = scan
    picture = scan_overlay('s01_z10', image, prediction, truth)
    assert_colours(picture, 1)
    Image.new('L', (80, 96)).save(tmp_path / 'large.png')
    np.testing.assert_array_equal(scan_overlay('s01_z10', tmp_path / 'large.png', prediction, truth), picture)


def test_ignored_pixels_are_neither_coloured_nor_in_the_caption(scan):
    (image, _), prediction, truth = scan
    truth[:, 10:20] = 255  # all that was false
    without = scan_overlay('a', image, np.where(truth == 255, 0, prediction), truth)
    np.testing.assert_array_equal(scan_overlay('a', image, prediction, truth), without)


def test_pictures_lie_beside_the_record_and_those_of_an_earlier_run_go(scan, tmp_path):
    files, prediction, _ = scan
    record = tmp_path / 'run' / 'train_seed0.json'
    record.parent.mkdir()
    kept = ['train_seed0.json', 'train_seed0.txt', 'train_seed0_tta.s01_z10.png', 'mine.png']
    for name in [*kept, 'train_seed0.s01_z10.png', 'train_seed0.s09_z99.png']:
        (record.parent / name).write_text('earlier')
    write_pictures(record, {'s01_z10': prediction}, {'s01_z10': files, 's01_z11': files})
    assert sorted(path.name for path in record.parent.iterdir()) == sorted([*kept, 'train_seed0.s01_z10.png'])
    assert all((record.parent / name).read_text() == 'earlier' for name in kept)
    rgb = cv2.imread(str(record.parent / 'train_seed0.s01_z10.png'))[:, :, ::-1]
    assert_colours(rgb, 10)  # a palette, of which each colour stands for a few


def test_a_lost_scan_is_an_os_error_that_names_it(scan, tmp_path):
    files, prediction, _ = scan
    files[0].write_bytes(b'')
    with pytest.raises(OSError, match=r'scan\.png: cannot be read as an image'):
        write_pictures(tmp_path / 'r.json', {'a': prediction}, {'a': files})
    assert not list(tmp_path.glob('r.*'))
