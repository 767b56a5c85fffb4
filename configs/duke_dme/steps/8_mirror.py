"""Step 8 of the recipe: probabilities are averaged over a scan and its mirror image.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/8_mirror.py --split paper-inner1 --amp
"""

_base_ = './7_deep_supervision.py'
model = dict(mirror=True)
