"""U-Net s5-d16 (five stages, 64 base channels, down to 1/16) with an auxiliary FCN head, as in the OpenMMLab HRF zoo.

What the heads have in common; `{fcn,pspnet,deeplabv3}_unet_s5-d16.py` add the decode head. Two classes. Normalisation is plain
BN; `tools/train.py` with a launcher on GPUs turns it into SyncBN.
Slide inference: windows of 256x256 with stride 170.
"""

norm_cfg = dict(type='BN', requires_grad=True)
head = dict(
    num_classes=2,
    dropout_ratio=0.1,
    norm_cfg=norm_cfg,
    align_corners=False,
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size_divisor=16,
    ),
    backbone=dict(
        type='UNet',
        in_channels=3,
        base_channels=64,
        num_stages=5,
        strides=(1, 1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2, 2),
        dec_num_convs=(2, 2, 2, 2),
        downsamples=(True, True, True, True),
        enc_dilations=(1, 1, 1, 1, 1),
        dec_dilations=(1, 1, 1, 1),
        norm_cfg=norm_cfg,
        act_cfg=dict(type='ReLU'),
        upsample_cfg=dict(type='InterpConv'),
        norm_eval=False,
    ),
    decode_head=dict(
        in_channels=64,
        in_index=4,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        **head,
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=128,
        in_index=3,
        channels=64,
        num_convs=1,
        concat_input=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4),
        **head,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', crop_size=(256, 256), stride=(170, 170)),
)
