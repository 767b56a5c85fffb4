"""Table 2, row 1: 200 iterations on whole 512x512 images.

Paper: mIoU 0.6855, mDice 0.7721 (one run, seed 0).

    python tools/train.py configs/table2/01_iters200.py
"""

_base_ = '../_base_/table2.py'
train_cfg = dict(max_iters=200, val_interval=200)
