"""`columns.py`, scored on the graded columns alone, as most published figures are: see docs/metrics.md.

Weights of `columns.py` need no training of their own: give them to `tools/test.py` with this config.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/columns_graded.py --amp
"""

_base_ = './columns.py'
test_pipeline = [*_base_.test_pipeline[:2], dict(type='IgnoreUngradedColumns'), *_base_.test_pipeline[2:]]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
