"""HRF vessels, DeepLabV3 head: the U-Net that fine-tuning on fluid starts from, 40 000 iterations at batch 4.

OpenMMLab zoo (deeplabv3_unet_s5-d16_256x256_40k_hrf): vessel Dice 0.8021, mDice 0.8932 on 30 validation photographs (one run).

    bash scripts/pretrain_hrf.sh deeplabv3
    python tools/train.py configs/hrf/deeplabv3.py --amp
"""

_base_ = ['../_base_/models/deeplabv3_unet_s5-d16.py', '../_base_/hrf.py']
