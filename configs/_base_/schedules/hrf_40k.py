"""40 000 iterations of SGD with a poly schedule, as in the OpenMMLab zoo: how the networks learn retinal vessels.

The learning rate falls to 1e-4 at iteration 40 000 whatever `max_iters` is, so that a run of fewer iterations is the
beginning of a longer one: it can be resumed with more. Scoring the large photographs takes long, so it comes once, at the end.
"""

optimizer = dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005, fused=True)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
param_scheduler = [dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=40_000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40_000, val_interval=40_000)
