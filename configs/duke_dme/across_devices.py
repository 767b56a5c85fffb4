"""The wider changes of scale, aspect and gray value of `beside/devices.py`, trained for as long as `compact.py`.

Scored on Duke DME as `compact.py` is, and on scans of other devices by `../external/across_devices.py`.

Ours: docs/results/recipes.md. Run time and device: docs/results/speed.md.

    python tools/train.py configs/duke_dme/across_devices.py --amp
"""

_base_ = './beside/devices.py'
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=900)]
train_cfg = dict(max_iters=900, val_interval=900)
