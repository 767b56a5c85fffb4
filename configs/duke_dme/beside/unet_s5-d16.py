"""Step 8 of the recipe with MMSegmentation's U-Net s5-d16 in place of the plain one, at a quarter of the paper's width.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/unet_s5-d16.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
channels = (16, 32, 64)
model = dict(
    backbone=dict(
        _delete_=True,
        type='UNet',
        in_channels=1,
        base_channels=16,
        num_stages=5,
        strides=(1, 1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2, 2),
        dec_num_convs=(2, 2, 2, 2),
        downsamples=(True, True, True, True),
        enc_dilations=(1, 1, 1, 1, 1),
        dec_dilations=(1, 1, 1, 1),
        norm_cfg=_base_.norm_cfg,
        act_cfg=_base_.act_cfg,
        upsample_cfg=dict(type='InterpConv'),
        norm_eval=False,
    ),
)
