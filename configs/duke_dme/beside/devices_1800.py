"""The changes of `devices.py` trained four times as long as the other trials, twice as long as `../compact.py`.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/devices_1800.py --split paper-inner1 --amp
"""

_base_ = './devices.py'
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=1800)]
train_cfg = dict(max_iters=1800, val_interval=1800)
