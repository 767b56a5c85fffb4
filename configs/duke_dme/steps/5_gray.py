"""Step 5 of the recipe: random gamma, speckle, blur and low resolution.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/5_gray.py --split paper-inner1 --amp
"""

_base_ = './4_geometry.py'
train_pipeline = [
    *_base_.train_pipeline[:4],
    dict(type='RandomGamma', prob=0.3, low=0.7, high=1.5),
    dict(type='RandomSpeckle', prob=0.2, low=0.0, high=0.3),
    dict(type='RandomBlur', prob=0.2, low=0.5, high=1.2),
    dict(type='RandomLowResolution', prob=0.2, low=0.5, high=1.0),
    *_base_.train_pipeline[4:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
