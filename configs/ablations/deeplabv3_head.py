"""Row 10 of table 2 with a DeepLabV3 head, from the HRF weights of that head.

The paper chose PSPNet for fine-tuning by the zero-shot scores of its table 1, which are all noise; this asks the question
itself.

Ours: docs/results/ablations.md. Run time and device: docs/results/speed.md.

    bash scripts/download_checkpoints.sh deeplabv3  # or: bash scripts/pretrain_hrf.sh deeplabv3
    python tools/train.py configs/ablations/deeplabv3_head.py
"""

_base_ = ['../_base_/models/deeplabv3_unet_s5-d16.py', '../_base_/table2_row10.py']
load_from = 'checkpoints/deeplabv3_unet_s5-d16_256x256_40k_hrf_20201226_094047-3a1fdf85.pth'
