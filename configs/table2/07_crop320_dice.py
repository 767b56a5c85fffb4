"""Table 2, row 7: row 6 with Dice loss on both heads.

Paper: mIoU 0.7560, mDice 0.8395 (one run, seed 0).

mmseg's Dice flattens background and fluid together, as the paper's did.

    python tools/train.py configs/table2/07_crop320_dice.py
"""

_base_ = './06_crop320.py'
loss = dict(_delete_=True, type='DiceLoss', use_sigmoid=False, loss_weight=1.0)
model = dict(decode_head=dict(loss_decode=loss), auxiliary_head=dict(loss_decode=loss))
