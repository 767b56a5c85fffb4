"""Row 10 of table 2 with random rotation by up to 15 degrees, for half of the scans; the rest stay level.

The paper's text names random rotation, and none of its rows has it. Its angle is not given; 15 degrees is about the most that a
B-scan is tilted by. What a rotation uncovers is black and counts as no pixel.

Ours: docs/results/ablations.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/ablations/rotate15.py
"""

_base_ = '../table2/10_crop320_wd1e-4.py'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomRotate', prob=0.5, degree=15.0, pad_val=0, seg_pad_val=255),
    dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
