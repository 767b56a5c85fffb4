"""A small U-Net on phantoms: what the quickstart trains when there is no real data, and what the tests train.

About a minute on two CPU cores.

    python tools/dataset_converters/phantom.py --out data/phantom
    python tools/train.py configs/smoke/phantom.py --amp
"""

_base_ = [
    '../_base_/models/fcn_unet_small.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/adam_150.py',
    '../_base_/default_runtime.py',
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(192, 192), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
