"""Step 8 of the recipe with the paper's network, PSPNet on U-Net s5-d16, from its HRF vessel weights.

With `pspnet_scratch.py` it says whether vessels help where the recipe is another. 29 M parameters: for a GPU.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/pspnet_hrf.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
load_from = 'checkpoints/pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth'
network = dict(num_classes=2, norm_cfg=_base_.norm_cfg, dropout_ratio=0.1, align_corners=False, init_cfg=_base_.head.init_cfg)
model = dict(
    repeat=3,
    backbone=dict(
        _delete_=True,
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
        norm_cfg=_base_.norm_cfg,
        act_cfg=dict(type='ReLU'),
        upsample_cfg=dict(type='InterpConv'),
        norm_eval=False,
    ),
    decode_head=dict(
        _delete_=True,
        type='PSPHead',
        in_channels=64,
        in_index=4,
        channels=16,
        pool_scales=(1, 2, 3, 6),
        loss_decode=_base_.model.decode_head.loss_decode,
        **network,
    ),
    auxiliary_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=128,
        in_index=3,
        channels=64,
        num_convs=1,
        concat_input=False,
        loss_decode=_base_.model.auxiliary_head[0].loss_decode,
        **network,
    ),
)
