"""Step 8 of the recipe with losses from hard pixels only: below a probability of 0.7, or the hardest tenth (mmseg's OHEM).

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/hard_pixels.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
model = dict(decode_head=dict(sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=4096)))
