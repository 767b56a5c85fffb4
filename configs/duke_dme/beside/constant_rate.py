"""Step 8 of the recipe with a constant learning rate that falls to 0 only in the last third of the iterations.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/constant_rate.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], begin=300)]
