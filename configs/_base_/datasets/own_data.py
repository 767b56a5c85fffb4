"""Your own scans, of any size, as `tools/dataset_converters/folder.py --folds` prepares them.

Training sees them at 256x384 pixels with the changes of position and gray value of the recipe; scores are at each scan's own
size. `split` is one of `fold1`, `fold2`, `fold3`, which divide the patients, or `all`.
"""

_base_ = './duke_dme_scans.py'

data_root = 'data/own'
split = 'fold1'
dataset = dict(type='FluidDataset', scan_size=None)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
