from types import SimpleNamespace

import pytest

from octfluid.webapp import shelf as module
from octfluid.webapp.shelf import Shelf

ANNA, BERT, CLEO = (None, 'a'), (None, 'b'), ('cleo', 'a')


def scan(size=10):
    return SimpleNamespace(nbytes=size)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(module.time, 'monotonic', lambda: now.seconds)
    return now


@pytest.fixture
def shelf(tmp_path, clock):
    return Shelf(tmp_path, limit=30, seconds=100, grace=5)


def test_each_visitor_has_a_scan_of_their_own(shelf):
    one, other = scan(), scan()
    shelf.put(ANNA, one)
    shelf.put(CLEO, other)  # with Anna's session, but a name of her own
    assert shelf.get(ANNA) is one and shelf.get(CLEO) is other and shelf.get(BERT) is None


def test_no_two_files_have_one_address_and_none_can_be_guessed(shelf, tmp_path):
    paths = []
    for visitor in (ANNA, ANNA, BERT):
        shelf.put(visitor, scan())
        paths.append(shelf.new_file(visitor, 'x.png'))
    places = [path.relative_to(tmp_path).parts for path in paths]
    assert len({place[:3] for place in places}) == 3
    assert all(len(place[0]) == 32 and len(place[2]) == 16 and place[3] == 'x.png' for place in places)
    assert shelf.new_file(CLEO, 'x.png') is None


def test_what_is_dropped_leaves_no_file(shelf, tmp_path):
    shelf.put(ANNA, scan())
    shelf.new_file(ANNA, 'x.png').write_bytes(b'1')
    shelf.drop(ANNA)
    assert shelf.get(ANNA) is None and list(tmp_path.iterdir()) == []


def test_what_was_longest_not_looked_at_goes_when_memory_is_short(shelf):
    for visitor in (ANNA, BERT, CLEO):
        shelf.put(visitor, scan())
    assert shelf.get(ANNA) is not None
    shelf.put((None, 'd'), scan())
    assert shelf.get(BERT) is None and shelf.get(ANNA) is not None and shelf.get(CLEO) is not None
    last = scan(1000)
    shelf.put(BERT, last)
    assert shelf.get(BERT) is last and shelf.get(ANNA) is None


def test_a_scan_goes_when_nobody_looks_at_it(shelf, clock):
    shelf.put(ANNA, scan())
    clock.seconds = 99
    assert shelf.get(ANNA) is not None  # and stays for as long again
    clock.seconds = 198
    assert shelf.get(ANNA) is not None
    clock.seconds = 299
    assert shelf.get(ANNA) is None


def test_who_leaves_can_come_back_for_a_moment(shelf, clock):
    for visitor in (ANNA, BERT):
        shelf.put(visitor, scan())
        shelf.leave(visitor)
    clock.seconds = 4
    assert shelf.get(ANNA) is not None
    clock.seconds = 6
    assert shelf.get(ANNA) is not None and shelf.get(BERT) is None


def test_few_pictures_of_a_visitor_are_kept(shelf, tmp_path):
    shelf.put(ANNA, scan())
    archive = shelf.new_file(ANNA, 'all.zip')
    paths = [shelf.new_file(ANNA, f'{place}.png', passing=True) for place in range(40)]
    assert sum(path.parent.exists() for path in paths) == 32 and paths[-1].parent.exists()
    assert archive.parent.exists()  # what is offered stays, however often the slider is moved


def test_a_scan_takes_the_place_of_the_one_it_was_made_of_and_of_no_other(shelf):
    first, second, late = scan(), scan(), scan()
    shelf.put(ANNA, first)
    assert shelf.replace(ANNA, first, second) and shelf.get(ANNA) is second
    assert not shelf.replace(ANNA, first, late) and shelf.get(ANNA) is second
    shelf.drop(ANNA)
    assert not shelf.replace(ANNA, second, late) and shelf.get(ANNA) is None
