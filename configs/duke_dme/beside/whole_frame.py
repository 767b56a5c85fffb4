"""Step 8 of the recipe trained on whole scans rather than on windows of 160x256.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/whole_frame.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
window = (256, 384)
model = dict(data_preprocessor=dict(size=window))
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='FluidCrop', crop_size=window, prob=0.5),
    _base_.train_pipeline[-1],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
