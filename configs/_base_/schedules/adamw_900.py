"""900 iterations of AdamW with a short warm-up and a poly schedule to 0; the weights that count are an average of the last.

mmengine's `EMAHook` keeps the average, batch statistics included; it is what is scored and what a checkpoint's ``state_dict``
holds.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=12),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=900, by_epoch=False),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=900, val_interval=900)
average = dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.01, update_buffers=True)
