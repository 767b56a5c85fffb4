import pytest

from octfluid.datasets import memory
from octfluid.datasets.memory import available_bytes


def test_memory_left_is_that_of_machine_and_container(tmp_path, monkeypatch):
    limit, used = tmp_path / 'max', tmp_path / 'current'
    monkeypatch.setattr(memory, '_CGROUPS', ((str(limit), str(used)),))
    machine = available_bytes()
    if machine is None:
        pytest.skip('this system does not say how much memory is left')
    limit.write_text('5000\n')
    used.write_text('2000\n')
    assert available_bytes() == 3000
    used.write_text('6000\n')
    assert available_bytes() == 0
    limit.write_text('max\n')
    assert available_bytes() > 1 << 20
