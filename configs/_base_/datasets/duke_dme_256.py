"""Duke DME at 256x256, as the paper prepared and used it.

Both pipelines first *enlarge* the 256x256 scan to 512x512; a crop, where a config has one, is cut from that. In testing the
ground truth is loaded after the resize and so keeps its own 256x256 pixels; the prediction is brought back to that size.
`cache_bytes` keeps what reading and resizing make of each training scan in memory, one copy for all workers; with 0 every
sample is read and resized anew, and is the same. `data_root` and `split` hold for every dataloader. Testing is validation: both
use `val_dataloader` and `val_evaluator`.
"""

data_root = 'data/duke_dme'
split = 'paper'

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
dataset = dict(type='DukeDMEDataset', size_dir='paper_256', scan_size=(256, 256))
train_dataloader = dict(
    batch_size=2,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='CountedSampler'),
    dataset=dict(subset='train', pipeline=train_pipeline, cache_bytes=1 << 30, **dataset),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(subset='val', test_mode=True, pipeline=test_pipeline, **dataset),
)
val_evaluator = dict(type='FluidMetric')
