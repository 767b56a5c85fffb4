"""Table 2, row 11: row 6 with weight decay 1e-3.

Paper: mIoU 0.7464, mDice 0.8312 (one run, seed 0).

The authors' notebook for this row holds row 10's run, so only the two printed means are known.

    python tools/train.py configs/table2/11_crop320_wd1e-3.py
"""

_base_ = './06_crop320.py'
optim_wrapper = dict(optimizer=dict(weight_decay=0.001))
