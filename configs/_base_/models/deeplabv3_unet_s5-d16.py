"""U-Net s5-d16 with a DeepLabV3 head: atrous spatial pyramid pooling, dilations 1, 12, 24, 36 (64 to 16 channels).

The rest of the network is `unet_s5-d16.py`.
"""

_base_ = './unet_s5-d16.py'
model = dict(
    decode_head=dict(
        type='ASPPHead',
        channels=16,
        dilations=(1, 12, 24, 36),
    ),
)
