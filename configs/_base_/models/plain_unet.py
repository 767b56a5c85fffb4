"""A plain U-Net for gray scans, from random weights: CE + Dice of fluid over the batch, deep supervision.

`channels` gives the width of each stage. The decode head classifies the full resolution; two auxiliary heads classify the
next coarser ones, with half and a quarter of its weight. Scans come standardised from the training pipeline; prediction takes
raw ones.

The heads begin with weights of either sign that are not near 0, as mmseg's are. Behind ReLU all features are 0 or more; from
weights near 0 all of them turn to speak for the background, which is most of the loss, and fluid is left with features of 0,
from which ReLU learns nothing. `init_cfg` reaches the decode head alone: mmseg initialises no heads of a list, and the
auxiliary ones begin as PyTorch makes them, with a standard deviation of 0.04 to 0.1.
"""

channels = (16, 32, 64, 96, 128, 128)
norm_cfg = dict(type='BN', requires_grad=True)
act_cfg = dict(type='ReLU')
cross_entropy = dict(type='CrossEntropyLoss', avg_non_ignore=True)
head = dict(
    type='FCNHead',
    num_classes=2,
    num_convs=0,
    concat_input=False,
    dropout_ratio=0,
    norm_cfg=norm_cfg,
    align_corners=False,
    init_cfg=dict(type='Normal', std=0.25, override=dict(name='conv_seg')),
)
model = dict(
    type='ScanSegmentor',
    working_size=(256, 384),
    mirror=True,
    data_preprocessor=dict(type='SegDataPreProcessor', size=(256, 384), pad_val=0, seg_pad_val=255),
    backbone=dict(type='PlainUNet', channels=channels, decoder_convs=1, norm_cfg=norm_cfg, act_cfg=act_cfg),
    decode_head=dict(
        in_channels=channels[0],
        channels=channels[0],
        in_index=-1,
        loss_decode=[dict(loss_weight=1.0, **cross_entropy), dict(type='BatchDiceLoss', loss_weight=1.0)],
        **head,
    ),
    auxiliary_head=[
        dict(
            in_channels=channels[depth],
            channels=channels[depth],
            in_index=-1 - depth,
            loss_decode=[
                dict(loss_weight=0.5**depth, **cross_entropy),
                dict(type='BatchDiceLoss', loss_weight=0.5**depth),
            ],
            **head,
        )
        for depth in (1, 2)
    ],
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
