"""Beside the compact recipe: its heads begin with large weights rather than with mmseg's, which are near 0.

Behind ReLU all features are 0 or more. While most of the loss is the background's, near-zero weights all turn to speak for it,
and fluid is left with features of 0, from which ReLU learns nothing: the network calls it fluid with one and the same
probability near 0.6, wherever it is sure and wherever it is not. Weights that begin with either sign keep some features for
fluid. Also without the change of contrast, which standardising undoes, and with ignored pixels left out of the divisor of the
cross-entropy.

What it changes: docs/recipe.md.

    python tools/train.py configs/duke_dme/beside/large_start.py --split paper-inner1 --amp
"""

_base_ = '../compact.py'
start = dict(type='Normal', std=0.25, override=dict(name='conv_seg'))
cross_entropy = dict(type='CrossEntropyLoss', avg_non_ignore=True)
train_pipeline = [*_base_.train_pipeline[:5], *_base_.train_pipeline[6:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    decode_head=dict(
        init_cfg=start,
        loss_decode=[dict(loss_weight=1.0, **cross_entropy), dict(type='BatchDiceLoss', loss_weight=1.0)],
    ),
    auxiliary_head=[
        dict(
            _base_.model.auxiliary_head[depth - 1],
            init_cfg=start,
            loss_decode=[
                dict(loss_weight=0.5**depth, **cross_entropy),
                dict(type='BatchDiceLoss', loss_weight=0.5**depth),
            ],
        )
        for depth in (1, 2)
    ],
)
