"""Step 0 of the recipe: the plain U-Net with cross-entropy, windows from anywhere, no augmentation, the last weights.

Each next step adds one ingredient to this; the last is `compact.py` but for the length: the steps train for 450 iterations,
half of the recipe's, so that all of them can be afforded without a GPU.

What it adds: docs/recipe.md, from the inner splits of the paper's training set.

    python tools/train.py configs/duke_dme/steps/0_plain.py --split paper-inner1 --amp
"""

_base_ = [
    '../../_base_/models/plain_unet.py',
    '../../_base_/datasets/duke_dme_scans.py',
    '../../_base_/schedules/adamw_900.py',
    '../../_base_/default_runtime.py',
]
iterations = 450
param_scheduler = [
    _base_.param_scheduler[0],
    dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=iterations, by_epoch=False),
]
train_cfg = dict(max_iters=iterations, val_interval=iterations)
window = (160, 256)
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(384, 256), backend='pillow'),
    dict(type='StandardizeScan'),
    dict(type='FluidCrop', crop_size=window, prob=0.0),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
model = dict(
    mirror=False,
    data_preprocessor=dict(size=window),
    decode_head=dict(loss_decode=[dict(loss_weight=1.0, **_base_.cross_entropy)]),
    auxiliary_head=None,
)
