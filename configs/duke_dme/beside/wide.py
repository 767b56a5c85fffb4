"""Step 8 of the recipe with twice the width in every stage, 5.4 M parameters.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/wide.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
channels = (32, 64, 128, 192, 256, 256)
model = dict(
    backbone=dict(channels=channels),
    decode_head=dict(in_channels=channels[0], channels=channels[0]),
    auxiliary_head=[
        dict(_base_.model.auxiliary_head[depth - 1], in_channels=channels[depth], channels=channels[depth]) for depth in (1, 2)
    ],
)
