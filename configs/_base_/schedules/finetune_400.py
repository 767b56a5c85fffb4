"""400 iterations of SGD with the paper's poly schedule, whose end was left at the 40 000 iterations of the HRF training.

Over 400 iterations the learning rate therefore stays practically constant (0.0100 to 0.0099).
"""

optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005, fused=True)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40_000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=400)
