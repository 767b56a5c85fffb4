"""Step 1 of the recipe: adds the Dice of fluid over the batch to the cross-entropy.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/1_dice.py --split paper-inner1 --amp
"""

_base_ = './0_plain.py'
model = dict(
    decode_head=dict(loss_decode=[dict(loss_weight=1.0, **_base_.cross_entropy), dict(type='BatchDiceLoss', loss_weight=1.0)])
)
