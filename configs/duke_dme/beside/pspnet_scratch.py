"""Step 8 of the recipe with the paper's network, PSPNet on U-Net s5-d16, from random weights.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/pspnet_scratch.py --split paper-inner1 --amp
"""

_base_ = './pspnet_hrf.py'
load_from = None
