"""Table 2, row 4: row 2 with random 192x192 crops of the 512x512 image.

Paper: mIoU 0.6190, mDice 0.6951 (one run, seed 0).

    python tools/train.py configs/table2/04_crop192.py
"""

_base_ = '../_base_/table2.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(192, 192), cat_max_ratio=0.75),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
