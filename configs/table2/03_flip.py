"""Table 2, row 3: row 2 with random horizontal flips.

Paper: mIoU 0.6263, mDice 0.7040 (one run, seed 0).

    python tools/train.py configs/table2/03_flip.py
"""

_base_ = '../_base_/table2.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
