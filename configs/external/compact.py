"""The compact recipe on scans of other devices, which took no part in any training or choice.

Data: any folder of scans and masks, through `tools/dataset_converters/folder.py`, in data/external. The network is that of
`duke_dme/compact.py`, trained on all ten patients of Duke DME (`--split all`).

Ours: docs/results/recipes.md, by device.

    python tools/test.py configs/external/compact.py CHECKPOINT --split all
"""

_base_ = '../duke_dme/compact.py'
data_root = 'data/external'
split = 'all'
test_only = True
dataset = dict(type='FluidDataset', scan_size=None)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
