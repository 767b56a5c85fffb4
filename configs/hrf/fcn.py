"""HRF vessels, FCN head: the U-Net that fine-tuning on fluid starts from, 40 000 iterations at batch 4.

OpenMMLab zoo (fcn_unet_s5-d16_256x256_40k_hrf): vessel Dice 0.7945, mDice 0.8892 on 30 validation photographs (one run).

    bash scripts/pretrain_hrf.sh fcn
    python tools/train.py configs/hrf/fcn.py --amp
"""

_base_ = ['../_base_/models/fcn_unet_s5-d16.py', '../_base_/hrf.py']
