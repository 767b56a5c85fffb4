"""Table 2, row 5: row 2 with random 224x224 crops of the 512x512 image.

Paper: mIoU 0.6299, mDice 0.7106 (one run, seed 0).

    python tools/train.py configs/table2/05_crop224.py
"""

_base_ = '../_base_/table2.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(224, 224), cat_max_ratio=0.75),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
