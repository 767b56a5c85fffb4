"""Table 2, row 2: 400 iterations on whole 512x512 images.

Paper: mIoU 0.6371, mDice 0.7173 (one run, seed 0).

It is the common base as it stands; the other rows state what they change.

    python tools/train.py configs/table2/02_iters400.py
"""

_base_ = '../_base_/table2.py'
