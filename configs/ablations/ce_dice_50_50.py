"""Row 10 of table 2 with 0.5 cross-entropy + 0.5 Dice in place of cross-entropy.

The paper leaves a weighted sum of the two as future work. The Dice is that of the fluid alone: mmseg's over both classes is
dominated by the background (it is row 7's). The auxiliary head keeps its weight of 0.4.

Ours: docs/results/ablations.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/ablations/ce_dice_50_50.py
"""

_base_ = '../table2/10_crop320_wd1e-4.py'
ce, dice = 0.5, 0.5
model = dict(
    decode_head=dict(
        loss_decode=[
            dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=ce),
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0, loss_weight=dice),
        ]
    ),
    auxiliary_head=dict(
        loss_decode=[
            dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4 * ce),
            dict(type='DiceLoss', use_sigmoid=False, ignore_index=0, loss_weight=0.4 * dice),
        ]
    ),
)
