"""What every experiment shares: registration, loops, hooks, logging, seed.

Validation happens at `train_cfg.val_interval` and after the last iteration, whose score is the one reported. The hooks after
`sampler_seed` are ours; they work with any mmengine Runner.
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
    checkpoint=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=100,
        max_keep_ckpts=2,
        save_last=True,
        backend_args=dict(backend='AtomicBackend'),
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
    # Refuse initial weights that fit only in part; `reinit` names the heads that start anew.
    initial_weights=dict(type='InitialWeightsHook', reinit=[]),
    step_seed=dict(type='StepSeedHook'),
    performance=dict(type='PerformanceHook'),
    record=dict(type='RunRecordHook'),
    finite=dict(type='FiniteHook'),
    stop=dict(type='StopHook'),
)
vis_backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
visualizer = dict(type='SegLocalVisualizer', name='visualizer', vis_backends=vis_backends)
log_processor = dict(by_epoch=False, window_size=10)
log_level = 'INFO'
