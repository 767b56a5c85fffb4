import functools
import os

import pytest

from octfluid.engine.turns import ratios, take_turns
from octfluid.utils.errors import InputError, WorkError


def writing(path, name):
    """Note each turn in a file."""

    def turn():
        with open(path, 'a') as file:
            file.write(f'{name}{os.getpid()}\n')
        return dict(seconds=2.0, waited=0.5)

    return turn


def raising(error):
    def turn():
        raise error

    return turn


def leaving():
    return functools.partial(os._exit, 7)


def holding(size):
    kept = b'x' * size
    return lambda: dict(seconds=float(len(kept)))


def test_contenders_work_by_turns_each_in_its_process(tmp_path):
    racing = {name: functools.partial(writing, str(tmp_path / 'turns'), name) for name in ('a', 'b')}
    heard = []
    found = take_turns(racing, 3, lambda *done: heard.append(done))
    lines = (tmp_path / 'turns').read_text().split()
    # One unmeasured round, then each round begun by another.
    assert ''.join(line[0] for line in lines) == 'ab' + 'ab' + 'ba' + 'ab'
    assert len(set(lines)) == 2 and str(os.getpid()) not in ''.join(lines)
    assert found['a'].turns == [dict(seconds=2.0, waited=0.5)] * 3 and found['b'].seconds() == [2.0] * 3
    assert heard == [(done, 8) for done in range(1, 9)]


def test_memory_is_each_ones_own():
    found = take_turns({'small': functools.partial(holding, 1), 'large': functools.partial(holding, 300 << 20)}, 1)
    assert found['large'].peak_bytes - found['small'].peak_bytes == pytest.approx(300 << 20, rel=0.2)


@pytest.mark.parametrize(('contender', 'error', 'said'), [
    (functools.partial(raising, InputError('no such data')), InputError, '^no such data$'),
    (functools.partial(raising, ZeroDivisionError('by zero')), WorkError, '^b: ZeroDivisionError: by zero$'),
    (leaving, WorkError, '^b: its process ended, exit status 7$'),
], ids=['input', 'bug', 'death'])  # fmt: skip
def test_failures_are_one_line(tmp_path, contender, error, said):
    with pytest.raises(error, match=said):
        take_turns({'a': functools.partial(writing, str(tmp_path / 'turns'), 'a'), 'b': contender}, 1)


def test_ratios_are_those_of_pairs():
    # On a machine that slows down to a tenth half-way, the ratio of each pair is still 4, or 5.
    assert ratios([4.0, 50.0, 40.0], [1.0, 10.0, 10.0]) == dict(ratio_median=4.0, ratio_min=4.0, ratio_max=5.0)
