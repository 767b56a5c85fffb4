"""Step 8 of the recipe with the decode head trained on hard pixels only (mmseg's `OHEMPixelSampler`).

A pixel counts if its true class has a probability below 0.7, and the hardest tenth always. Auxiliary heads see all pixels.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/hard_pixels.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
model = dict(decode_head=dict(sampler=dict(type='OHEMPixelSampler', thresh=0.7, min_kept=4096)))
