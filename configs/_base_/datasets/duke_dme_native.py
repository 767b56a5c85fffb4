"""Duke DME at its native 496x768 pixels: nothing is resized, neither for training nor for testing."""

_base_ = './duke_dme_256.py'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='PackFluidInputs'),
]
test_pipeline = train_pipeline
dataset = dict(
    data_prefix=dict(img_path='native/images', seg_map_path='native/annotations'),
    scan_size=(496, 768),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
