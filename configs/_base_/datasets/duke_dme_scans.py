"""Duke DME at its native 496x768 pixels, gray, with changes of position and gray value that OCT scans allow.

The scan is first brought to `working_size`, with Pillow's antialiased filter, and standardised as a whole; `window` is cut from
it last. Rotation uncovers pixels that count as none. Testing hands the network raw scans: see `ScanSegmentor`.
"""

_base_ = './duke_dme_native.py'

working_size = (256, 384)
window = (160, 256)
train_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=working_size[::-1], backend='pillow'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomGamma', prob=0.3, low=0.7, high=1.5),
    dict(type='RandomSpeckle', prob=0.2, low=0.0, high=0.3),
    dict(type='RandomBlur', prob=0.2, low=0.5, high=1.2),
    dict(type='RandomLowResolution', prob=0.2, low=0.5, high=1.0),
    dict(type='StandardizeScan'),
    dict(
        type='RandomApply',
        prob=0.4,
        transforms=[dict(type='RandomResize', scale=working_size[::-1], ratio_range=(0.7, 1.4), keep_ratio=True)],
    ),
    dict(type='RandomRotate', prob=0.4, degree=15.0, pad_val=0, seg_pad_val=255),
    dict(type='FluidCrop', crop_size=window, prob=0.5),
    dict(type='PackFluidInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='LoadAnnotations'),
    dict(type='PackFluidInputs'),
]
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
