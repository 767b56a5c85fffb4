"""150 iterations of Adam with a poly schedule that ends with them: for small networks from random weights."""

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.01, fused=True))
param_scheduler = [dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=150, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=150, val_interval=150)
