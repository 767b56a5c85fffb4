"""Row 10 of table 2 with a DeepLabV3 head, from the HRF weights of that head.

The paper chose PSPNet for fine-tuning by the zero-shot scores of its table 1, which are all noise; this asks the question
itself.

    bash scripts/download_checkpoints.sh deeplabv3  # or: bash scripts/pretrain_hrf.sh deeplabv3
    python tools/train.py configs/ablations/deeplabv3_head.py
"""

_base_ = '../table2/10_crop320_wd1e-4.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='ASPPHead',
        in_channels=64,
        in_index=4,
        channels=16,
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    )
)
init = dict(
    files=[
        'checkpoints/hrf/deeplabv3_unet_s5-d16_*.safetensors',
        'checkpoints/deeplabv3_unet_s5-d16_256x256_40k_hrf_20201226_094047-3a1fdf85.pth',
    ],
)
