"""Phantoms (layered retinas with speckle and fluid pockets) written by `tools/dataset_converters/phantom.py`, 256x256."""

_base_ = './duke_dme_native.py'
data_root = 'data/phantom'
split = 'heldout'

dataset = dict(type='PhantomDataset', scan_size=(256, 256))
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
