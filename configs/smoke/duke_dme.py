"""A small U-Net on the Duke DME scans at 256x256, from random weights: what the quickstart trains when it finds them.

It shows the whole way from files to a scored model in minutes on two CPU cores; it is no recipe for the best score. Unlike
table 2 it neither enlarges the scans nor cuts windows. Its settings were taken as they are, not tuned.

    python tools/train.py configs/smoke/duke_dme.py --amp
"""

_base_ = [
    '../_base_/models/fcn_unet_small.py',
    '../_base_/datasets/duke_dme_native.py',
    '../_base_/schedules/adam_150.py',
    '../_base_/default_runtime.py',
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackFluidInputs'),
]
dataset = dict(
    data_prefix=dict(img_path='paper_256/images', seg_map_path='paper_256/annotations'),
    scan_size=(256, 256),
)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
param_scheduler = [dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=400, by_epoch=False)]
train_cfg = dict(max_iters=400, val_interval=400)
