"""The compact recipe, fine-tuned on your own scans from the weights of the shipped model, which has seen Duke DME.

Half of the recipe's length at a tenth of its learning rate: nothing of this has been tuned. From random weights instead:
`--init none`, better with the learning rate of `duke_dme/compact.py`. How to: docs/how-to/own_data.md.

Ours: none, the scans are yours; docs/how-to/own_data.md leads from a folder to a report of your own.

    python tools/train.py configs/own_data/compact.py --amp
"""

_base_ = [
    '../_base_/models/plain_unet.py',
    '../_base_/datasets/own_data.py',
    '../_base_/schedules/adamw_900.py',
    '../_base_/default_runtime.py',
]
load_from = 'checkpoints/duke_dme/fcn_plain-unet_s6-d32_160x256_900i_duke-8ad5cdb5.pth'
model = dict(data_preprocessor=dict(size=_base_.window))
optim_wrapper = dict(optimizer=dict(lr=2e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=450, by_epoch=False),
]
train_cfg = dict(max_iters=450, val_interval=450)
custom_hooks = [_base_.average]
