from octfluid.utils import machine


def test_the_peak_of_a_gpu_outlives_its_reset_by_the_log(monkeypatch):
    monkeypatch.setattr(machine, '_peak', 0)
    monkeypatch.setattr(machine.torch.cuda, 'is_available', lambda: True)
    found = []
    for allocated in (5, 900, 20):  # since the last line of the log
        monkeypatch.setattr(machine.torch.cuda, 'max_memory_allocated', lambda allocated=allocated: allocated)
        found.append(machine.peak_memory())
    assert found == [5, 900, 900]
