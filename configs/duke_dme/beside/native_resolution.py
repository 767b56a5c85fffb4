"""Step 8 of the recipe with scans at their native 496x768 pixels and windows of 320x512, not 256x384 and 160x256.

The same part of a scan in four times the pixels: are walls between pockets, which half the size blurs, told apart better? The
step before `native.py`, which is wider and trains longer too. For a GPU.

What it changes: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/beside/native_resolution.py --split paper-inner1 --amp
"""

_base_ = '../steps/8_mirror.py'
window = (320, 512)
model = dict(working_size=None, data_preprocessor=dict(size=window))
train_pipeline = [
    *_base_.train_pipeline[:2],
    *_base_.train_pipeline[3:9],
    dict(
        type='RandomApply',
        prob=0.4,
        transforms=[dict(type='RandomResize', scale=(768, 496), ratio_range=(0.7, 1.4), keep_ratio=True)],
    ),
    _base_.train_pipeline[10],
    dict(type='FluidCrop', crop_size=window, prob=0.5),
    _base_.train_pipeline[12],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
