"""The recipe at native resolution, for a GPU: an nnU-Net-like plain U-Net of 10 M parameters on windows of 320x512 pixels.

Beside `compact.py` it keeps every pixel of a scan, is wider and deeper, trains longer and on more windows, and scores
overlapping windows with Gaussian weights. Optimizer, schedule, normalisation and depth of supervision are nnU-Net's.

Ours: docs/results/recipes.md; not run where no GPU was at hand.

    python tools/train.py configs/duke_dme/native.py --amp
"""

_base_ = './compact.py'

channels = (32, 64, 128, 256, 320, 320)
window = (320, 512)
norm_cfg = dict(type='IN', requires_grad=True)
act_cfg = dict(type='LeakyReLU', negative_slope=0.01)
head = _base_.head
model = dict(
    working_size=None,
    data_preprocessor=dict(size=window),
    backbone=dict(channels=channels, decoder_convs=2, norm_cfg=norm_cfg, act_cfg=act_cfg),
    decode_head=dict(in_channels=channels[0], channels=channels[0]),
    auxiliary_head=[
        dict(
            in_channels=channels[depth],
            channels=channels[depth],
            in_index=-1 - depth,
            loss_decode=[
                dict(loss_weight=0.5**depth, **_base_.cross_entropy),
                dict(type='BatchDiceLoss', loss_weight=0.5**depth),
            ],
            **head,
        )
        for depth in (1, 2, 3)
    ],
    test_cfg=dict(mode='slide', crop_size=window, stride=(160, 256), weighting='gaussian'),
)
train_pipeline = [
    *_base_.train_pipeline[:2],
    *_base_.train_pipeline[3:9],
    dict(
        type='RandomApply',
        prob=0.4,
        transforms=[dict(type='RandomResize', scale=(768, 496), ratio_range=(0.7, 1.4), keep_ratio=True)],
    ),
    _base_.train_pipeline[10],
    dict(type='FluidCrop', crop_size=window, prob=0.5),
    _base_.train_pipeline[12],
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.99, nesterov=True, weight_decay=3e-5, fused=True),
)
iterations = 4000
param_scheduler = [dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=iterations, by_epoch=False)]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
