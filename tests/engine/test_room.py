import pytest

from octfluid.engine import room as rooms
from octfluid.engine.room import Room, fixed_rooms, gpu_memory, machine_memory, measured_rooms
from octfluid.utils.errors import InputError

GIB = 1 << 30


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """A nvidia-smi that prints what it is given and notes how it was called."""
    monkeypatch.setenv('PATH', f'{tmp_path}:/usr/bin:/bin')

    def install(text, status=0):
        (tmp_path / 'said').write_text(text)
        path = tmp_path / 'nvidia-smi'
        path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncat {tmp_path}/said\nexit {status}\n')
        path.chmod(0o755)
        return tmp_path / 'calls'

    return install


@pytest.fixture
def working(tmp_path):
    """Makes the log of a run, which has begun to train or not."""

    def make(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path, 0

    return make


def test_a_fixed_room_holds_one():
    places = fixed_rooms(3, ['4', '7'])
    assert [place.gpu for place in places] == ['4', '7', '4']
    assert [place.has_space([]) for place in places] == [True] * 3
    assert not places[0].has_space([('log', 0)])
    assert [place.gpu for place in fixed_rooms(2, [])] == [None, None]


def test_the_first_decides_how_many_there_is_room_for(working):
    used = [10 * GIB]
    place = Room('0', most=9, memory=lambda: (used[0], 80 * GIB))
    assert place.has_space([])
    used[0] = 20 * GIB
    assert not place.has_space([working('a', 'training\n')]), 'its network is not even built'
    used[0] = 30 * GIB
    first, second, third = (working(name, 'Iter(train) [10/400]\n') for name in 'abc')
    # 20 GiB each and 15 % more: three of them are 69 GiB, and 70 are free beside what others take.
    assert place.has_space([first])
    assert place.has_space([first, working('b', '')]), 'what is known of the first holds for the second'
    used[0] = 70 * GIB
    assert not place.has_space([first, second, third])
    used[0] = 56 * GIB  # 23 GiB each: the third would not fit any more
    assert not place.has_space([first, working('b', 'Iter(train)')])


def test_no_more_than_the_cores_can_feed(working):
    place = Room('0', most=2, memory=lambda: (GIB, 80 * GIB))
    assert place.has_space([]) and not place.has_space([working('a', 'Iter(train)'), working('b', 'Iter(train)')])


def test_what_an_earlier_start_wrote_says_nothing(working):
    used = [0]
    place = Room('0', most=4, memory=lambda: (used[0], 80 * GIB))
    assert place.has_space([])
    used[0] = GIB
    path, _ = working('a', 'Iter(train) [10/400]\n')
    assert not place.has_space([(path, path.stat().st_size)])
    assert place.has_space([(path, 0)])


def test_memory_of_a_gpu(smi):
    calls = smi('1024, 81920\n')
    assert gpu_memory('3') == (GIB, 80 * GIB)
    assert calls.read_text().endswith('--id=3\n')


@pytest.mark.parametrize(('text', 'status'), [('[N/A], [N/A]', 0), ('', 0), ('1, 2', 9)])
def test_memory_that_is_not_known_is_one_line(smi, text, status):
    smi(text, status)
    with pytest.raises(InputError, match='--jobs auto: nvidia-smi does not say how much memory GPU 0 has; expected --jobs N'):
        gpu_memory('0')


def test_memory_of_this_machine():
    used, total = machine_memory()
    assert 0 < used < total


@pytest.mark.parametrize(('gpus', 'environment', 'expected'), [
    (['2'], {'CUDA_VISIBLE_DEVICES': '5'}, ['2']), ([], {'CUDA_VISIBLE_DEVICES': '5, 6'}, ['5', '6']),
    ([], {'CUDA_VISIBLE_DEVICES': ''}, [None]), ([], {'CUDA_VISIBLE_DEVICES': '-1'}, [None]),
])  # fmt: skip
def test_rooms_are_those_of_the_gpus_there_are(smi, monkeypatch, gpus, environment, expected):
    smi('1, 2\n')
    monkeypatch.setattr(rooms, 'cores', lambda: 16)
    found = measured_rooms(gpus, environment)
    assert [place.gpu for place in found] == expected
    assert {place.most for place in found} == {16 if expected == [None] else 8 // len(expected)}


def test_all_gpus_that_are_listed_where_none_is_named(smi):
    calls = smi('0\n1\n')
    with pytest.raises(InputError, match='GPU 0'):  # the same words are no answer about memory
        measured_rooms([], {})
    assert calls.read_text().splitlines()[0] == '--query-gpu=index --format=csv,noheader'


def test_without_a_gpu_the_machine_decides(monkeypatch, tmp_path):
    monkeypatch.setenv('PATH', str(tmp_path))
    (place,) = measured_rooms([], {})
    assert (place.gpu, place.most) == (None, rooms.cores())
