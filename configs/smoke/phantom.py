"""A small U-Net on phantoms: what the quickstart and the tests train when there is no real data.

FCN head on a four-stage U-Net of 16 channels, 256x256, CE + foreground Dice, Adam. Half a minute on two CPU cores.

    python tools/dataset_converters/phantom.py --out data/phantom
    python tools/train.py configs/smoke/phantom.py --amp
"""

_base_ = [
    '../_base_/models/fcn_unet_s5-d16.py',
    '../_base_/datasets/phantom.py',
    '../_base_/schedules/finetune_400.py',
    '../_base_/default_runtime.py',
]
channels = 16
# `ignore_index=0` leaves the background channel out of mmseg's Dice, so that the loss is about fluid.
loss = [
    dict(type='CrossEntropyLoss', loss_weight=1.0),
    dict(type='DiceLoss', use_sigmoid=False, ignore_index=0, loss_weight=1.0),
]
model = dict(
    backbone=dict(
        base_channels=channels,
        num_stages=4,
        strides=(1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2),
        dec_num_convs=(1, 1, 1),
        downsamples=(True, True, True),
        enc_dilations=(1, 1, 1, 1),
        dec_dilations=(1, 1, 1),
    ),
    decode_head=dict(in_channels=channels, in_index=3, channels=channels, loss_decode=loss),
    auxiliary_head=dict(in_channels=2 * channels, in_index=2, channels=channels, loss_decode=loss),
    test_cfg=dict(_delete_=True, mode='whole'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=(192, 192), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=0.01))
param_scheduler = [dict(type='PolyLR', eta_min=1e-5, power=0.9, begin=0, end=150, by_epoch=False)]
train_cfg = dict(max_iters=150, val_interval=150)
