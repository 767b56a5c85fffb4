"""What the loaders of all data share: order of the samples, and the processes that make them.

Half as many processes as the machine has cores, from 2 to 8; `--cfg-options train_dataloader.num_workers=N` sets another
number. The samples are the same.
"""

import os

cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
loader = dict(
    num_workers=max(2, min(8, cores // 2)),
    persistent_workers=True,
)
train_dataloader = dict(sampler=dict(type='CountedSampler'), **loader)
val_dataloader = dict(batch_size=1, sampler=dict(type='DefaultSampler', shuffle=False), **loader)
test_dataloader = val_dataloader
