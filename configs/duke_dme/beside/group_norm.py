"""Step 8 of the recipe with group normalisation, which does not depend on the batch, in place of batch normalisation.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/group_norm.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
norm_cfg = dict(type='GN', num_groups=8)
model = dict(
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(norm_cfg=norm_cfg),
    auxiliary_head=[dict(head, norm_cfg=norm_cfg) for head in _base_.model.auxiliary_head],
)
