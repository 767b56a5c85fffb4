"""Step 7 of the recipe: two auxiliary heads on the coarser resolutions, with half and a quarter of the weight.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/7_deep_supervision.py --split paper-inner1 --amp
"""

_base_ = './6_average.py'
channels = _base_.channels
head = _base_.head
model = dict(
    auxiliary_head=[
        dict(
            in_channels=channels[depth],
            channels=channels[depth],
            in_index=-1 - depth,
            loss_decode=[
                dict(loss_weight=0.5**depth, **_base_.cross_entropy),
                dict(type='BatchDiceLoss', loss_weight=0.5**depth),
            ],
            **head,
        )
        for depth in (1, 2)
    ]
)
