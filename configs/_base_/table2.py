"""What the rows of table 2 share: PSPNet U-Net from HRF weights, Duke DME at 256x256, 400 iterations, batch 2, CE, SGD.

Both networks have two classes, so every tensor is loaded, the classifier included, as the paper did. The file is the OpenMMLab
zoo's (`bash scripts/download_checkpoints.sh`); `--init` names another, such as one that `scripts/pretrain_hrf.sh` trained.
"""

_base_ = [
    './models/pspnet_unet_s5-d16.py',
    './datasets/duke_dme_256.py',
    './schedules/finetune_400.py',
    './default_runtime.py',
]
load_from = 'checkpoints/pspnet_unet_s5-d16_256x256_40k_hrf_20201227_181818-fdb7e29b.pth'
