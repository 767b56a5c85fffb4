"""Phantoms (layered retinas with speckle and fluid pockets) written by `tools/dataset_converters/phantom.py`, 256x256."""

_base_ = './duke_dme_native.py'

dataset = dict(type='PhantomDataset', data_root='data/phantom', scan_size=(256, 256))
train_dataloader = dict(dataset=dict(ann_file='splits/heldout_train.txt', **dataset))
val_dataloader = dict(dataset=dict(ann_file='splits/heldout_val.txt', **dataset))
test_dataloader = val_dataloader
