"""A small U-Net for machines without a GPU: four stages from 16 channels, FCN heads, CE + foreground Dice, 0.4 M parameters.

The weighted sum of cross-entropy and Dice is what the paper leaves as future work. Scans are segmented whole.
"""

_base_ = './fcn_unet_s5-d16.py'
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
