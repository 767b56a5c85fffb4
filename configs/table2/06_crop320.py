"""Table 2, row 6: row 2 with random 320x320 crops of the 512x512 image.

Paper: mIoU 0.7567, mDice 0.8401 (one run, seed 0).

    python tools/train.py configs/table2/06_crop320.py
"""

_base_ = '../_base_/table2.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
