"""Your own scans, of any size, as `tools/dataset_converters/folder.py --folds` prepares them.

Training sees them at 256x384 pixels with the changes of position and gray value of the recipe; scores are at each scan's own
size. The folds `fold1`, `fold2`, `fold3` divide the patients (`--split`); `all` trains on every scan.
"""

_base_ = './duke_dme_scans.py'

dataset = dict(type='FluidDataset', data_root='data/own', scan_size=None)
train_dataloader = dict(dataset=dict(ann_file='splits/fold1_train.txt', **dataset))
val_dataloader = dict(dataset=dict(ann_file='splits/fold1_val.txt', **dataset))
test_dataloader = val_dataloader
