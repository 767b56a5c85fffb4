"""What the trainings on HRF vessels share, all but the network: data, schedule, and which checkpoints are kept.

A checkpoint to resume from is written every 1 000 iterations (the last two are kept), and the weights alone every 4 000
(`weights_4000.pth` ..., all kept), to fine-tune from networks that saw vessels for a shorter or longer time.
Trained with --amp they are scored in mixed precision too: a photograph has hundreds of windows.
"""

_base_ = ['./datasets/hrf.py', './schedules/hrf_40k.py', './default_runtime.py']
default_hooks = dict(
    checkpoint=dict(interval=1000),
    milestones=dict(
        type='CheckpointHook',
        by_epoch=False,
        interval=4000,
        filename_tmpl='weights_{}.pth',
        save_optimizer=False,
        save_param_scheduler=False,
        save_last=False,
        backend_args=dict(backend='AtomicBackend'),
    ),
    performance=dict(mixed_scoring=True),
)
