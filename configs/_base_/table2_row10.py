"""Row 10 of table 2 but for its network and initial weights: for configs with another head.

Those cannot build on `table2/10_crop320_wd1e-4.py` itself: the settings of its PSPNet head would be merged with theirs, and two
bases may not define the same key.
"""

_base_ = ['./datasets/duke_dme_256.py', './schedules/finetune_400.py', './default_runtime.py']
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(320, 320), cat_max_ratio=0.75),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(weight_decay=0.0001))
