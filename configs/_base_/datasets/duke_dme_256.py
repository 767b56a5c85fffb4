"""Duke DME at 256x256, as the paper prepared and used it, under the paper's split.

Both pipelines first *enlarge* the 256x256 scan to 512x512; a crop, where a config has one, is cut from that. In testing the
ground truth is loaded after the resize and so keeps its own 256x256 pixels; the prediction is brought back to that size.
`cache_bytes` keeps what reading and resizing make of each training scan in memory, one copy for all workers; with 0 every
sample is read and resized anew, and is the same.
"""

_base_ = './loaders.py'

data_root = 'data/duke_dme'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='PackFluidInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(512, 512), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackFluidInputs'),
]
dataset = dict(
    type='DukeDMEDataset',
    data_root=data_root,
    data_prefix=dict(img_path='paper_256/images', seg_map_path='paper_256/annotations'),
    scan_size=(256, 256),
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(ann_file='splits/paper_train.txt', pipeline=train_pipeline, cache_bytes=1 << 30, **dataset),
)
val_dataloader = dict(
    dataset=dict(ann_file='splits/paper_val.txt', test_mode=True, pipeline=test_pipeline, **dataset),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='FluidMetric')
test_evaluator = val_evaluator
