"""Row 10 of table 2 with ten times its iterations, 4 000.

From HRF weights and from random ones (`--init none`) it tells whether the source training saves iterations or reaches further;
row 10 itself asks the same at 400.

Ours: docs/results/ablations.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/ablations/row10_4000.py
    python tools/train.py configs/ablations/row10_4000.py --init none
"""

_base_ = '../table2/10_crop320_wd1e-4.py'
train_cfg = dict(max_iters=4000, val_interval=4000)
