"""`compact.py`, trained on the graded columns alone: what the grader did not look at is no background.

Scored on whole scans, as `compact.py` is; on the graded columns by `columns_graded.py`. Needs a data set converted with the
present converter, whose ``index.csv`` holds the graded columns.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/columns.py --amp
"""

_base_ = './compact.py'
train_pipeline = [*_base_.train_pipeline[:2], dict(type='IgnoreUngradedColumns'), *_base_.train_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
