"""Step 6 of the recipe: the weights that count are an exponential average over the training.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/6_average.py --split paper-inner1 --amp
"""

_base_ = './5_gray.py'
custom_hooks = [_base_.average]
