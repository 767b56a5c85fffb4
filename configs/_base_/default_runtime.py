"""What every experiment shares: registration, loops, hooks, logging, seed.

Validation happens at `train_cfg.val_interval` and always after the last iteration, whose score is the one reported.
"""

default_scope = 'mmseg'
custom_imports = dict(imports=['octfluid.register'], allow_failed_imports=False)
env_cfg = dict(cudnn_benchmark=True, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=2, save_last=True),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [
    dict(type='StepSeedHook'),
    dict(type='PlainCheckpointHook'),
    dict(type='ProgressHook'),
    dict(type='RunStateHook'),
]
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='Visualizer', vis_backends=vis_backends)
log_processor = dict(by_epoch=False, window_size=10)
log_level = 'INFO'
channels_last = True
# On a CPU with glibc, keep freed memory for the next step rather than have the system map and clear it anew.
reuse_memory = True
# In tests, make batch normalisation part of the convolutions, enlarge features after their 1x1 convolutions, and round weights
# for mixed precision once.
prepare_weights = True
# Windows that slide inference takes at once. 'auto': 8 on a GPU, 3 on a CPU (1 with reuse_memory = False, where more take
# longer). None: mmseg's own slide inference.
window_batch = 'auto'
