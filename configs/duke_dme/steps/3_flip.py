"""Step 3 of the recipe: half of the scans are mirrored, right eye for left.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/3_flip.py --split paper-inner1 --amp
"""

_base_ = './2_fluid_windows.py'
train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    *_base_.train_pipeline[3:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
