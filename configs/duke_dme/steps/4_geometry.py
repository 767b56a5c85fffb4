"""Step 4 of the recipe: random scale (0.7 to 1.4) and rotation (up to 15 degrees), each of 40 % of the scans.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/4_geometry.py --split paper-inner1 --amp
"""

_base_ = './3_flip.py'
train_pipeline = [
    *_base_.train_pipeline[:5],
    dict(
        type='RandomApply',
        prob=0.4,
        transforms=[dict(type='RandomResize', scale=(384, 256), ratio_range=(0.7, 1.4), keep_ratio=True)],
    ),
    dict(type='RandomRotate', prob=0.4, degree=15.0, pad_val=0, seg_pad_val=255),
    *_base_.train_pipeline[5:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
