import pytest

from octfluid.metrics.summary import check_same_images, per_image, per_subject, scored
from octfluid.utils.errors import InputError


def row(name, subject, tp, fp, fn, tn=900, size=(32, 32)):
    return dict(name=name, subject=subject, height=size[0], width=size[1], tp=tp, fp=fp, fn=fn, tn=tn, extra={})


FIRST = [row('b', 2, 6, 2, 2), row('a', 1, 0, 4, 0), row('c', 2, 0, 0, 8)]
SECOND = [row('c', 2, 8, 0, 0), row('b', 2, 8, 2, 0), row('a', 1, 0, 0, 0, 904)]


def test_images_come_in_the_order_of_their_names_and_seeds():
    group = scored({5: SECOND, 3: FIRST})
    assert (group.names, group.subjects, group.seeds) == (('a', 'b', 'c'), (1, 2, 2), (3, 5))
    assert [[image['tp'] for image in images] for images in group.rows] == [[0, 6, 0], [0, 8, 8]]


def test_patients_are_numbers_then_texts_and_unknown_where_one_is_none():
    group = scored({0: [row('a', 'x', 1, 0, 0), row('b', 10, 1, 0, 0), row('c', 9, 1, 0, 0), row('d', 9, 1, 0, 0)]})
    assert group.patients == (9, 10, 'x')
    assert scored({0: [row('a', 3, 1, 0, 0), row('b', None, 1, 0, 0)]}).patients == (None, 3)


def test_an_image_twice_is_refused():
    with pytest.raises(InputError, match='seed 4: '):
        scored({4: [*FIRST, row('b', 2, 6, 2, 2)]})


@pytest.mark.parametrize('change', [{'subject': 3}, {'height': 64}, {'tp': 7}, {'tn': 7}, {'name': 'd'}])
def test_other_images_are_refused_with_the_first_that_differs(change):
    other = [{**FIRST[0], **change}, FIRST[1], {**FIRST[2], 'fn': 8}]
    with pytest.raises(InputError, match='image b'):
        scored({0: FIRST, 1: other})
    with pytest.raises(InputError, match='image b'):
        check_same_images(scored({0: FIRST}), scored({0: other}))


def test_each_subject_by_hand():
    # Subject 1 has no fluid: 4 false pixels make Dice 0, none leave it 0/0. Subject 2: 2 * 6 / (12 + 2 + 10), then 32 / 34.
    assert per_subject(scored({0: FIRST, 1: SECOND})) == [
        {'subject': 1, 'images': 1, 'with_fluid': 0, 'true_px': 0, 'dice': [0.0, None], 'mean': None},
        {'subject': 2, 'images': 2, 'with_fluid': 2, 'true_px': 16, 'dice': [0.5, 0.94117647], 'mean': 0.72058824},
    ]


def test_each_image_by_hand():
    assert per_image(scored({0: FIRST, 1: SECOND})) == [
        {'name': 'a', 'subject': 1, 'true_px': 0, 'predicted_px': 2.0, 'dice': None, 'false_px': 2.0},
        {'name': 'b', 'subject': 2, 'true_px': 8, 'predicted_px': 9.0, 'dice': 0.81944444, 'false_px': 2.0},
        {'name': 'c', 'subject': 2, 'true_px': 8, 'predicted_px': 4.0, 'dice': 0.5, 'false_px': 0.0},
    ]
    # 4 false pixels on an image without fluid are no Dice of 0.
    assert per_image(scored({0: FIRST}))[0]['dice'] is None
