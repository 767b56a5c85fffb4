"""Table 2, row 9: row 6 with Adam at learning rate 0.01.

Paper: mIoU 0.4963, mDice 0.4981 (one run, seed 0).

    python tools/train.py configs/table2/09_crop320_adam.py
"""

_base_ = './06_crop320.py'
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=0.01, weight_decay=0.0005, fused=True))
