"""Step 8 of the recipe with wider changes of scale, aspect and gray value, as between devices.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/devices.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
scales = [(width, height) for width in (288, 384, 480, 576) for height in (192, 256, 320, 400)]
train_pipeline = [
    *_base_.train_pipeline[:4],
    dict(type='RandomGamma', prob=0.5, low=0.5, high=2.0),
    dict(type='RandomSpeckle', prob=0.3, low=0.0, high=0.4),
    dict(type='RandomNoise', prob=0.3, low=0.0, high=20.0),
    dict(type='RandomBlur', prob=0.3, low=0.5, high=2.0),
    dict(type='RandomLowResolution', prob=0.3, low=0.3, high=1.0),
    dict(type='StandardizeScan'),
    dict(type='RandomApply', prob=0.6, transforms=[dict(type='RandomChoiceResize', scales=scales)]),
    *_base_.train_pipeline[-3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
