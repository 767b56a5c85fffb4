"""HRF vessels, PSPNet head: the U-Net that fine-tuning on fluid starts from, 40 000 iterations at batch 4.

OpenMMLab zoo (pspnet_unet_s5-d16_256x256_40k_hrf): vessel Dice 0.8007, mDice 0.8924 on 30 validation photographs (one run).

    bash scripts/pretrain_hrf.sh pspnet
    python tools/train.py configs/hrf/pspnet.py --amp
"""

_base_ = ['../_base_/models/pspnet_unet_s5-d16.py', '../_base_/hrf.py']
