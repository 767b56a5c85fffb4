"""What the zero-shot tests of table 1 share: all graded scans at 256x256 through the test pipeline of the HRF photographs.

The network is applied as it was trained on vessels; its second output, vessel, is scored as fluid. Resizing to the scale
(2336, 3504) blows a scan of 256x256 up to 2336x2336, over which slide inference takes 14 x 14 windows of 256x256, 170 apart;
the prediction is brought back to 256x256 and scored there. Nothing is trained.
"""

_base_ = ['./datasets/duke_dme_256.py', './default_runtime.py']
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2336, 3504), keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackFluidInputs'),
]
test_dataloader = dict(dataset=dict(ann_file='splits/all_train.txt', pipeline=test_pipeline))
train_dataloader = val_dataloader = val_evaluator = val_cfg = None
