"""Step 8 of the recipe with twelve windows of 96x144 in place of four of 160x256, at equal cost.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/small_windows.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
window = (96, 144)
model = dict(data_preprocessor=dict(size=window))
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='FluidCrop', crop_size=window, prob=0.5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(batch_size=12, dataset=dict(pipeline=train_pipeline))
