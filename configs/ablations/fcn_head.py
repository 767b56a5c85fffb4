"""Row 10 of table 2 with an FCN head, from the HRF weights of that head.

The paper chose PSPNet for fine-tuning by the zero-shot scores of its table 1, which are all noise; this asks the question
itself.

    bash scripts/download_checkpoints.sh fcn        # or: bash scripts/pretrain_hrf.sh fcn
    python tools/train.py configs/ablations/fcn_head.py
"""

_base_ = '../table2/10_crop320_wd1e-4.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=64,
        in_index=4,
        channels=64,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
    )
)
init = dict(
    files=[
        'checkpoints/hrf/fcn_unet_s5-d16_*.safetensors',
        'checkpoints/fcn_unet_s5-d16_256x256_40k_hrf_20201223_173724-d89cf1ed.pth',
    ],
)
