"""U-Net s5-d16 with a PSPNet head: pyramid pooling at scales 1, 2, 3, 6 (64 to 16 channels).

The rest of the network is `unet_s5-d16.py`.
"""

_base_ = './unet_s5-d16.py'
model = dict(
    decode_head=dict(
        type='PSPHead',
        channels=16,
        pool_scales=(1, 2, 3, 6),
    ),
)
