"""Step 2 of the recipe: half of the windows hold fluid where the scan does.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/2_fluid_windows.py --split paper-inner1 --amp
"""

_base_ = './1_dice.py'
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='FluidCrop', crop_size=_base_.window, prob=0.5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
