"""Table 2, row 8: row 6 with sigmoid focal loss (gamma 2, alpha 0.5) on both heads.

Paper: mIoU 0.7429, mDice 0.8280 (one run, seed 0).

    python tools/train.py configs/table2/08_crop320_focal.py
"""

_base_ = './06_crop320.py'
loss = dict(_delete_=True, type='SigmoidFocalLoss', gamma=2.0, alpha=0.5, loss_weight=1.0)
model = dict(decode_head=dict(loss_decode=loss), auxiliary_head=dict(loss_decode=loss))
