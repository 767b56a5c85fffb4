"""What the rows of table 2 share: PSPNet U-Net from HRF weights, Duke DME at 256x256, 400 iterations, batch 2, CE, SGD."""

_base_ = [
    './models/pspnet_unet_s5-d16.py',
    './datasets/duke_dme_256.py',
    './schedules/finetune_400.py',
    './default_runtime.py',
    './init_hrf_pspnet.py',
]
