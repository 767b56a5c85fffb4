"""U-Net s5-d16 with an FCN head: one 3x3 convolution (64 to 64 channels), no concatenation of the input.

The rest of the network is `unet_s5-d16.py`.
"""

_base_ = './unet_s5-d16.py'
model = dict(
    decode_head=dict(
        type='FCNHead',
        channels=64,
        num_convs=1,
        concat_input=False,
    ),
)
