"""Table 1, PSPNet head: the network trained on HRF vessels applied unchanged to all 110 graded scans.

Paper: 0.0022, its "mIoU" there: the mean over the scans of the foreground IoU, with 0 for a scan where neither the grader nor
the network has any. It is not the mean over two classes that table 2 calls mIoU.

CHECKPOINT is the vessel network that fine-tuning starts from.

Ours: docs/results/table1.md. Run time and device: docs/results/speed.md.

    bash scripts/reproduce_table1.sh pspnet
    python tools/test.py configs/table1/pspnet.py CHECKPOINT
"""

_base_ = ['../_base_/models/pspnet_unet_s5-d16.py', '../_base_/table1.py']
