import platform
import subprocess
import sys

import pytest

from octfluid.utils import machine

# Makes and drops a block of 64 MB some times, and prints how many pages the system had to give for it.
FAULTS = """
import resource, torch
from octfluid.utils.machine import reuse_freed_memory
{call}
def step():
    torch.ones(16 << 20)
for _ in range(30):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(call):
    return int(subprocess.run([sys.executable, '-c', FAULTS.format(call=call)], stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='this system has no glibc')
def test_freed_memory_is_not_given_back():
    found, without = faults('assert reuse_freed_memory()'), faults('pass')
    if without < 1000:
        pytest.skip('this system gives memory in huge pages, or keeps it anyway')
    assert found < without / 10, 'less than one of ten blocks, where it would be all ten'


def test_the_peak_of_a_gpu_outlives_its_reset_by_the_log(monkeypatch):
    monkeypatch.setattr(machine, '_peak', 0)
    monkeypatch.setattr(machine.torch.cuda, 'is_available', lambda: True)
    found = []
    for allocated in (5, 900, 20):  # since the last line of the log
        monkeypatch.setattr(machine.torch.cuda, 'max_memory_allocated', lambda allocated=allocated: allocated)
        found.append(machine.peak_memory())
    assert found == [5, 900, 900]
