"""HRF fundus photographs with vessel masks at their own 2336x3504 pixels, with MMSegmentation's pipeline for them.

A window of 256x256 is cut from the photograph enlarged or reduced by a random factor of 0.5 to 2. In testing the scale
(2336, 3504) leaves the photographs as they are; it matters for zero-shot tests, where it enlarges whatever comes.
`window_first=True` makes the same training samples many times faster, by computing the windows alone from photographs decoded
once (491 MB, shared by all workers); False runs MMSegmentation's transforms as they are.
"""

_base_ = './loaders.py'

data_root = 'data/hrf'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(2336, 3504), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(256, 256), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackFluidInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2336, 3504), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackFluidInputs'),
]
dataset = dict(
    type='HRFDataset',
    data_root=data_root,
    data_prefix=dict(img_path='native/images', seg_map_path='native/annotations'),
    scan_size=(2336, 3504),
)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(ann_file='splits/usual_train.txt', pipeline=train_pipeline, window_first=True, **dataset),
)
val_dataloader = dict(
    dataset=dict(ann_file='splits/usual_val.txt', test_mode=True, pipeline=test_pipeline, **dataset),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='FluidMetric')
test_evaluator = val_evaluator
