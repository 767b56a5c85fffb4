import re

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from octfluid.engine.out_of_memory import is_out_of_memory
from octfluid.utils.errors import WorkError


class HungryHook(Hook):
    """Ask for more memory than any machine has, in the eighth step or in scoring."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        """Ask."""
        if batch_idx == 7 and runner.cfg.train_dataloader.batch_size > 1:
            torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize(('amp', 'advice'), [(False, 'set train_dataloader.batch_size=2, or use --amp'),
                                             (True, 'set train_dataloader.batch_size=2')])  # fmt: skip
def test_a_step_that_needs_too_much_memory(run, tmp_path, monkeypatch, amp, advice):
    monkeypatch.setitem(HOOKS._module_dict, 'HungryHook', HungryHook)
    hooks = [dict(type=kind) for kind in ('StepSeedHook', 'PlainCheckpointHook', 'RunStateHook', 'HungryHook')]
    with pytest.raises(WorkError) as caught:
        run(tmp_path / 'run', {'custom_hooks': hooks, 'train_dataloader.batch_size': 4}, amp=amp)
    said = str(caught.value)
    assert re.search(r'phantom\.py: out of memory, batches of 4 do not fit into the memory of this machine', said)
    assert said.endswith(advice)
    assert (tmp_path / 'run/iter_6.pth').is_file()


def test_other_errors_of_torch_are_no_want_of_memory():
    assert not is_out_of_memory(RuntimeError('shapes do not match')) and not is_out_of_memory(OSError('no memory'))
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError('CUDA out of memory'))
