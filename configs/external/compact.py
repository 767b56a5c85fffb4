"""The compact recipe on scans of other devices, which took no part in any training or choice.

Data: any folder of scans and masks, through `tools/dataset_converters/folder.py`, in data/external. The network is that of
`duke_dme/compact.py`, trained on all ten patients of Duke DME (`--split all`).

Ours: docs/results/recipes.md, by device.

    python tools/test.py configs/external/compact.py CHECKPOINT
"""

_base_ = '../duke_dme/compact.py'
test_dataloader = dict(
    dataset=dict(type='FluidDataset', data_root='data/external', ann_file='splits/all_train.txt', scan_size=None)
)
train_dataloader = train_cfg = optim_wrapper = param_scheduler = None
val_dataloader = val_evaluator = val_cfg = None
custom_hooks = []
